"""Correlation and lag of curves."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from dubfew.utils.signal import (
    estimate_curve_lag,
    find_best_lag,
    lagged_correlation,
    pearson_correlation,
)


@pytest.fixture
def curve() -> NDArray[np.float64]:
    """A smooth random curve without a period."""
    noise = np.random.default_rng(0).standard_normal(100)
    return np.convolve(noise, np.hanning(9), "same")


def test_pearson_value(curve: NDArray) -> None:
    other = curve + np.random.default_rng(1).standard_normal(100)
    assert pearson_correlation(curve, other) == pytest.approx(np.corrcoef(curve, other)[0, 1])
    assert pearson_correlation(np.arange(5.0), -np.arange(5.0)) == pytest.approx(-1)


def test_pearson_of_a_constant_is_zero() -> None:
    assert pearson_correlation(np.ones(5), np.arange(5.0)) == 0.0
    assert pearson_correlation(np.arange(5.0), np.zeros(5)) == 0.0


@pytest.mark.parametrize("lag", [-3, 0, 4])
def test_a_delayed_copy_correlates_at_its_delay(curve: NDArray, lag: int) -> None:
    assert lagged_correlation(curve, np.roll(curve, lag), lag) == pytest.approx(1)
    assert find_best_lag(curve, np.roll(curve, lag), 5) == (lag, pytest.approx(1))


def test_missing_samples_are_left_out(curve: NDArray) -> None:
    holed = curve.copy()
    holed[[0, 7, 8, 50]] = np.nan
    assert lagged_correlation(holed, np.roll(curve, 2), 2) == pytest.approx(1)


def test_too_few_pairs_and_constants_have_no_correlation(curve: NDArray) -> None:
    few = np.full(100, np.nan)
    few[:2] = 1.0, 2.0
    for other in (few, np.ones(100), 1e-9 * curve):
        assert np.isnan(lagged_correlation(curve, other, 0, min_std=1e-6))
        assert np.isnan(find_best_lag(curve, other, 5, min_std=1e-6)).all()
    assert np.isnan(lagged_correlation(curve[:4], curve[:4], 3))


def test_of_equal_lags_the_smallest_is_taken() -> None:
    periodic = np.tile([0.0, 1.0], 20)
    assert find_best_lag(periodic, periodic, 5)[0] == 0


@pytest.mark.parametrize("delay", [-0.12, 0.0, 0.2])
def test_lag_of_curves_with_clocks_of_their_own(curve: NDArray, delay: float) -> None:
    times = np.arange(100) / 25
    observed_times = np.arange(0.5, 3.5, 1 / 30)
    observed = np.interp(observed_times - delay, times, curve)
    found = estimate_curve_lag(times, curve, observed_times, observed)
    assert found.lag_seconds == pytest.approx(delay)
    assert found.r_best == pytest.approx(1)
    assert (found.r_zero == found.r_best) == (delay == 0)


def test_the_end_of_the_range_is_no_peak() -> None:
    times = np.arange(50) / 25
    early, late = (np.exp(-(((times - centre) / 0.3) ** 2)) for centre in (0.8, 1.1))
    found = estimate_curve_lag(times, early, times, late, max_lag=0.1)
    assert found.lag_seconds == 0.0
    assert found.r_best == found.r_zero
