"""Statistics of sets and the distance between them, against closed forms and SciPy."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.linalg import sqrtm

from dubfew.evaluate.perceptual.frechet import FeatureStatistics, frechet_distance


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
