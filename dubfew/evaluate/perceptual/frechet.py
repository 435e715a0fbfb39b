"""Frechet distance between two sets of feature vectors, in memory that does not grow with them."""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dubfew.utils.files import write_atomic

# Eigenvalues of a scatter, relative to the largest, below which they are rounding errors.
RANK_TOLERANCE = 1e-12
# Fewest vectors with which a covariance says anything.
MIN_VECTORS = 2


class FeatureStatistics:
    """Mean and covariance of feature vectors that come one batch after the other.

    Args:
        size: length D of a vector.

    Example:
        >>> statistics = FeatureStatistics(1)
        >>> statistics.add(np.array([[1.0], [3.0]]))
        >>> statistics.count, statistics.mean.tolist(), statistics.covariance.tolist()
        (2, [2.0], [[2.0]])
    """

    def __init__(self, size: int) -> None:
        self.count = 0
        self.mean = np.zeros(size)
        self._scatter = np.zeros((size, size))

    @property
    def covariance(self) -> NDArray[np.float64]:
        """Unbiased covariance; NaN for fewer than two vectors. [D, D]"""
        if self.count < MIN_VECTORS:
            return np.full_like(self._scatter, np.nan)
        return self._scatter / (self.count - 1)

    def add(self, vectors: NDArray) -> None:
        """Take account of a batch of vectors. [B, D]"""
        batch = FeatureStatistics(len(self.mean))
        rows = np.asarray(vectors, np.float64)
        batch.count, batch.mean = len(rows), rows.mean(0)
        batch._scatter = (rows - batch.mean).T @ (rows - batch.mean)
        self.merge(batch)

    def merge(self, other: FeatureStatistics) -> None:
        """Take account of all vectors of another set.

        Source: Chan et al. 1979, Updating Formulae and a Pairwise Algorithm for Computing Sample
        Variances (Stanford STAN-CS-79-773), in matrix form.
        """
        total = self.count + other.count
        if not total:
            return
        shift = other.mean - self.mean
        self._scatter = (
            self._scatter
            + other._scatter
            + np.outer(shift, shift) * (self.count * other.count / total)
        )
        self.mean = self.mean + shift * (other.count / total)
        self.count = total

    def factorize(self) -> NDArray[np.float32]:
        """Factorize the scatter F^T F: far smaller than the matrix where vectors are few. [R, D]"""
        values, vectors = np.linalg.eigh(self._scatter)
        kept = values > RANK_TOLERANCE * max(float(values[-1]), 0.0)
        return (vectors[:, kept] * np.sqrt(values[kept])).T.astype(np.float32)

    @classmethod
    def from_factor(cls, count: int, mean: NDArray, factor: NDArray) -> FeatureStatistics:
        """Make the statistics of a number of vectors with a mean [D] and a `factorize` [R, D]."""
        statistics = cls(len(mean))
        statistics.count, statistics.mean = count, np.asarray(mean, np.float64)
        wide = np.asarray(factor, np.float64)
        statistics._scatter = wide.T @ wide
        return statistics


# Statistics of the original's and of the output's features.
StatisticsPair = tuple[FeatureStatistics, FeatureStatistics]


def write_statistics(path: Path, sets: Mapping[str, StatisticsPair]) -> None:
    """Write the statistics of sets of features to an .npz file, atomically.

    Args:
        path: file to write.
        sets: statistics by the name of the measure.
    """
    arrays = {
        f"{name}.{side}.{part}": value
        for name, pair in sets.items()
        for side, each in enumerate(pair)
        for part, value in (
            ("count", np.array(each.count)), ("mean", each.mean), ("factor", each.factorize())
        )
    }  # fmt: skip
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    write_atomic(path, buffer.getvalue())


def read_statistics(path: Path, name: str) -> StatisticsPair:
    """Read the statistics of one measure that `write_statistics` wrote.

    Raises:
        OSError: The file cannot be read.
        ValueError: It is damaged.
        KeyError: It does not hold this measure.
    """
    with np.load(path) as file:
        first, second = (
            FeatureStatistics.from_factor(
                *(file[f"{name}.{side}.{part}"] for part in ("count", "mean", "factor"))
            )
            for side in (0, 1)
        )
    return first, second


def pool_distance(pairs: Iterable[StatisticsPair]) -> float:
    """Compute the distance of the features of all clips together.

    Args:
        pairs: statistics of each clip's original and output; they are not kept.

    Returns:
        Squared Frechet distance of the two pools; NaN without clips.
    """
    pools: StatisticsPair | None = None
    for pair in pairs:
        if pools is None:
            pools = FeatureStatistics(len(pair[0].mean)), FeatureStatistics(len(pair[1].mean))
        for pool, statistics in zip(pools, pair, strict=True):
            pool.merge(statistics)
    return float("nan") if pools is None else frechet_distance(*pools)


def frechet_distance(first: FeatureStatistics, second: FeatureStatistics) -> float:
    """Compute the squared Frechet distance of two normal distributions.

    Args:
        first: statistics of one set.
        second: statistics of the other set.

    Returns:
        Distance, 0 or more; NaN if a set has fewer than two vectors.

    Source: Dowson and Landau 1982, The Frechet Distance between Multivariate Normal Distributions,
    eq. 4, as Heusel et al. 2017 (arXiv 1706.08500), eq. 6 use it.
    """
    if min(first.count, second.count) < MIN_VECTORS:
        return float("nan")
    # The trace of the root of the product is that of the root of a symmetric matrix, whose
    # eigenvalues are real: no complex rounding errors, and faster than a matrix root.
    values, vectors = np.linalg.eigh(first.covariance)
    root = (vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T
    product = np.linalg.eigvalsh(root @ second.covariance @ root)
    cross = np.sqrt(np.maximum(product, 0)).sum()
    shift = first.mean - second.mean
    trace = np.trace(first.covariance) + np.trace(second.covariance)
    return float(max(0.0, shift @ shift + trace - 2 * cross))
