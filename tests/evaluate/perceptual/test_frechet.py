"""Statistics of sets and the distance between them, against closed forms and SciPy."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from scipy.linalg import sqrtm

from dubfew.evaluate.perceptual.frechet import (
    FeatureStatistics,
    frechet_distance,
    pool_distance,
    read_statistics,
    write_statistics,
)


def collect(rows: np.ndarray, batch: int = 7) -> FeatureStatistics:
    statistics = FeatureStatistics(rows.shape[1])
    for start in range(0, len(rows), batch):
        statistics.add(rows[start : start + batch])
    return statistics


def with_moments(mean: np.ndarray, covariance: np.ndarray) -> FeatureStatistics:
    """Statistics with given moments: two points along each axis of the covariance."""
    values, vectors = np.linalg.eigh(covariance)
    size = len(mean)
    steps = vectors * np.sqrt(values * (2 * size - 1) / 2)
    return collect(np.concatenate([mean + steps.T, mean - steps.T]))


def test_batches_give_mean_and_covariance():
    rows = np.random.default_rng(0).normal(3, 2, (50, 6))
    statistics = collect(rows)
    assert statistics.count == 50
    np.testing.assert_allclose(statistics.mean, rows.mean(0))
    np.testing.assert_allclose(statistics.covariance, np.cov(rows.T))


def test_merged_sets_are_one_set():
    rows = np.random.default_rng(1).normal(0, 1, (40, 5))
    first, second = collect(rows[:11]), collect(rows[11:])
    first.merge(second)
    np.testing.assert_allclose(first.covariance, np.cov(rows.T))


def test_distance_of_independent_coordinates():
    """Normal distributions with diagonal covariances: (m - n)^2 + (s - t)^2 for each."""
    first = with_moments(np.array([1.0, 0, 0]), np.diag([4.0, 1, 9]))
    second = with_moments(np.array([0.0, 2, 0]), np.diag([1.0, 1, 16]))
    assert frechet_distance(first, second) == pytest.approx(1 + 4 + 1 + 0 + 1)


def test_distance_equals_the_formula_with_a_matrix_root():
    rng = np.random.default_rng(2)
    first, second = collect(rng.normal(0, 1, (90, 8))), collect(rng.normal(0.5, 1.4, (70, 8)))
    root = sqrtm(first.covariance @ second.covariance).real
    shift = first.mean - second.mean
    expected = shift @ shift + np.trace(first.covariance + second.covariance - 2 * root)
    assert frechet_distance(first, second) == pytest.approx(expected, rel=1e-9)
    assert frechet_distance(second, first) == pytest.approx(expected, rel=1e-9)


def test_equal_sets_and_sets_that_are_too_small():
    statistics = collect(np.random.default_rng(3).normal(0, 1, (20, 30)))  # singular
    assert frechet_distance(statistics, statistics) == pytest.approx(0, abs=1e-5)
    assert math.isnan(frechet_distance(statistics, collect(np.zeros((1, 30)))))


def test_stored_statistics_come_back(tmp_path: Path):
    rows = np.random.default_rng(0).normal(2, 3, (2, 5, 40))
    pair = tuple(FeatureStatistics(40) for _ in rows)
    for statistics, part in zip(pair, rows, strict=True):
        statistics.add(part)
    write_statistics(tmp_path / "a.npz", {"fid": pair})
    again = read_statistics(tmp_path / "a.npz", "fid")
    for before, after in zip(pair, again, strict=True):
        assert after.count == 5
        np.testing.assert_allclose(after.mean, before.mean)
        np.testing.assert_allclose(after.covariance, before.covariance, atol=1e-5)
        # Five vectors differ from their mean in four directions.
        assert before.factorize().shape == (4, 40)
    with pytest.raises(KeyError):
        read_statistics(tmp_path / "a.npz", "fvd")


def test_a_pool_of_clips_is_one_set():
    rows = np.random.default_rng(0).normal(size=(3, 2, 8, 4)) + np.arange(3)[:, None, None, None]
    pairs = []
    for clip in rows:
        pairs.append(tuple(FeatureStatistics(4) for _ in clip))
        for statistics, part in zip(pairs[-1], clip, strict=True):
            statistics.add(part)
    whole = tuple(FeatureStatistics(4) for _ in range(2))
    for side, statistics in enumerate(whole):
        statistics.add(rows[:, side].reshape(-1, 4))
    assert pool_distance(iter(pairs)) == pytest.approx(frechet_distance(*whole))
    assert math.isnan(pool_distance([]))
