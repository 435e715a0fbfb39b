"""Frechet distance between two sets of feature vectors, in memory that does not grow with them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

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
