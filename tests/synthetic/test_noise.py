"""Random fields: their statistics, the size of their features, and their seeds."""

from __future__ import annotations

import numpy as np
import pytest

from dubfew.synthetic.noise import _catmull_rom_weights, fractal_noise, smooth_noise


def correlation(field: np.ndarray, shift: int, axis: int) -> float:
    """Correlation of a field with itself, moved by some pixels."""
    here = np.take(field, range(field.shape[axis] - shift), axis)
    there = np.take(field, range(shift, field.shape[axis]), axis)
    return float(np.corrcoef(here.ravel(), there.ravel())[0, 1])


@pytest.mark.parametrize("cell", [1.4, 6.0, 25.0, (30.0, 3.0)])
def test_fields_have_mean_0_and_deviation_1(cell):
    field = smooth_noise(np.random.default_rng(0), 120, 90, cell)
    assert field.shape == (120, 90)
    assert field.dtype == np.float32
    assert field.mean() == pytest.approx(0, abs=1e-4)
    assert field.std() == pytest.approx(1, abs=1e-4)
    # Smooth, not clipped: a normal distribution's tails, roughly.
    assert 2 < np.abs(field).max() < 7


@pytest.mark.parametrize("cell", [4, 12])
def test_features_are_about_as_large_as_the_cells(cell):
    field = smooth_noise(np.random.default_rng(1), 300, 300, cell)
    for axis in (0, 1):
        assert correlation(field, 1, axis) > 0.8
        assert correlation(field, cell // 2, axis) > 0.3
        assert abs(correlation(field, 3 * cell, axis)) < 0.15


def test_rows_and_columns_have_cells_of_their_own():
    field = smooth_noise(np.random.default_rng(2), 300, 300, (30, 3))
    assert correlation(field, 6, 0) > 0.7
    assert abs(correlation(field, 6, 1)) < 0.2


def test_octaves_add_finer_features():
    smooth, rough = (
        fractal_noise(np.random.default_rng(3), 200, 200, 32, octaves) for octaves in (1, 4)
    )
    assert rough.std() == pytest.approx(1, abs=1e-4)
    assert correlation(rough, 2, 0) < correlation(smooth, 2, 0) - 0.01
    # The coarse features remain.
    assert correlation(rough, 8, 0) > 0.4


def test_seeds_decide():
    first, again, other = (smooth_noise(np.random.default_rng(s), 40, 50, 5) for s in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert abs(np.corrcoef(first.ravel(), other.ravel())[0, 1]) < 0.5


def test_interpolation_keeps_constants_and_straight_lines():
    weights = _catmull_rom_weights(50, 7.0, 0.3)
    grid = np.arange(weights.shape[1], dtype=float)
    np.testing.assert_allclose(weights @ np.ones(len(grid)), 1, atol=1e-6)
    # Grid point g lies at pixel 7 (g - 1 - 0.3).
    np.testing.assert_allclose(weights @ (7 * (grid - 1.3)), np.arange(50), atol=1e-4)
