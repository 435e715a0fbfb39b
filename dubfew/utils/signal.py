"""Correlation of two sampled curves, and the lag between them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

# Largest lag between a picture and its sound that is searched for, in seconds, in either
# direction. Real offsets of containers and encoders are below 0.3 s. On clips of a few seconds a
# larger range finds lags at which two unrelated curves happen to agree.
MAX_LAG_SECONDS = 0.4

# Lags that are tried per second, that is one every 10 ms. A video frame lasts 17 to 42 ms, so a
# finer grid would say nothing more.
LAGS_PER_SECOND = 100

# Pairs of finite samples below which `lagged_correlation` is NaN: any two points correlate fully.
MIN_CORRELATED_PAIRS = 3


@dataclass(frozen=True)
class LagEstimate:
    """Lag of one curve against another, and how well the two agree there.

    Attributes:
        lag_seconds: delay of the observed curve against the reference, s; negative if it is early.
        r_best: Pearson correlation at that lag, -1 to 1.
        r_zero: Pearson correlation without a lag, -1 to 1.
    """

    lag_seconds: float
    r_best: float
    r_zero: float


def pearson_correlation(
    a: NDArray,  # [N]
    b: NDArray,  # [N]
) -> float:
    """Compute Pearson's correlation coefficient.

    Args:
        a: samples, finite, at least one. [N]
        b: samples that belong to those of ``a``. [N]

    Returns:
        -1 to 1; 0 if one of the two does not vary.

    Example:
        >>> a = np.array([0.0, 1.0, 2.0])
        >>> round(pearson_correlation(a, 3 - 2 * a), 6)
        -1.0
        >>> pearson_correlation(a, np.ones(3))
        0.0
    """
    a, b = a - a.mean(), b - b.mean()
    scale = float(np.sqrt((a**2).sum() * (b**2).sum()))
    return float((a * b).sum()) / scale if scale > 1e-12 else 0.0


def lagged_correlation(
    a: NDArray[np.float64],  # [N]
    b: NDArray[np.float64],  # [N]
    lag: int,
    *,
    min_std: float = 0.0,
) -> float:
    """Correlate ``a[k]`` with ``b[k + lag]`` over the samples where both are finite.

    Args:
        a: samples at even steps; NaN where there is no measurement. [N]
        b: samples at the same steps. [N]
        lag: delay of ``b`` in samples, negative if ``b`` is early; its size is less than N.
        min_std: a curve with a smaller standard deviation is taken for constant. What varies by
            rounding alone would otherwise correlate with anything.

    Returns:
        Pearson's coefficient, -1 to 1; NaN if fewer than three pairs are left or a curve is
        constant.

    Example:
        >>> a = np.array([0.0, 1.0, 0.0, 2.0, np.nan, 1.0])
        >>> round(lagged_correlation(a, np.roll(a, 1), 1), 6)
        1.0
    """
    if lag > 0:
        a, b = a[:-lag], b[lag:]
    elif lag < 0:
        a, b = a[-lag:], b[:lag]
    both = np.isfinite(a) & np.isfinite(b)
    if both.sum() < MIN_CORRELATED_PAIRS:
        return float("nan")
    a, b = a[both], b[both]
    if min(a.std(), b.std()) < min_std or a.std() == 0 or b.std() == 0:
        return float("nan")
    return pearson_correlation(a, b)


def find_best_lag(
    a: NDArray[np.float64],  # [N]
    b: NDArray[np.float64],  # [N]
    max_lag: int,
    *,
    min_std: float = 0.0,
) -> tuple[float, float]:
    """Find the lag in whole samples at which two curves agree best.

    Args:
        a: samples at even steps; NaN where there is no measurement. [N]
        b: samples at the same steps. [N]
        max_lag: largest lag to try in either direction, in samples, less than N.
        min_std: see `lagged_correlation`.

    Returns:
        The lag of ``b`` (positive if late; of equally good ones the smallest) and the correlation
        there; NaN for both if no lag has a correlation.

    Example:
        >>> a = np.array([0.0, 1.0, 0.0, 2.0, 0.0, 0.0, 1.0, 0.0])
        >>> lag, r = find_best_lag(a, np.roll(a, 2), 3)
        >>> (lag, round(r, 6))
        (2.0, 1.0)
    """
    # Nearest lags first: argmax takes the first of equal values.
    lags = sorted(range(-max_lag, max_lag + 1), key=abs)
    scores = [lagged_correlation(a, b, lag, min_std=min_std) for lag in lags]
    if not np.isfinite(scores).any():
        return float("nan"), float("nan")
    best = int(np.nanargmax(scores))
    return float(lags[best]), scores[best]


def estimate_curve_lag(
    reference_times: NDArray[np.float64],  # [M]
    reference: NDArray,  # [M]
    observed_times: NDArray[np.float64],  # [N]
    observed: NDArray,  # [N]
    max_lag: float = MAX_LAG_SECONDS,
) -> LagEstimate:
    """Estimate the delay between two curves that have clocks of their own.

    The reference is interpolated at the observed times minus each lag. A maximum at the end of the
    range is no peak and counts as no lag.

    Args:
        reference_times: times of the reference's samples, rising, s. [M]
        reference: the curve that the observed one should follow, such as the lip gap that is
            predicted from a sound; sampled at least as finely as the other. [M]
        observed_times: times of the observed samples, s. [N]
        observed: the observed curve, such as the lip gap in a video. [N]
        max_lag: largest lag to try in either direction, s.

    Returns:
        The lag of highest correlation, in steps of 10 ms.

    Example:
        >>> times = np.arange(200) / 100
        >>> curve = np.sin(9 * times) + np.sin(14 * times)
        >>> estimate_curve_lag(times, curve, times + 0.05, curve).lag_seconds
        0.05
    """
    limit = round(max_lag * LAGS_PER_SECOND)
    lags = np.arange(-limit, limit + 1) / LAGS_PER_SECOND
    r = [
        pearson_correlation(np.interp(observed_times - lag, reference_times, reference), observed)
        for lag in lags
    ]
    best = int(np.argmax(r))
    if best in (0, len(lags) - 1):
        best = limit
    return LagEstimate(float(lags[best]), r[best], r[limit])
