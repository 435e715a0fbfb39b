"""The scene's own mouth that shows through the dub."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d

from dubfew.evaluate.face_geometry import mouth_opening
from dubfew.evaluate.metrics._base import ClipMeasure, ClipPair, Metric
from dubfew.evaluate.metrics._mouth_opening import MIN_OPENING_STD
from dubfew.utils.signal import lagged_correlation

# Lags with which the correlation without a lag is compared, s: a mouth is unrelated to itself half
# a second later, and two lines that begin together still overlap.
SHORTEST_LAG_SECONDS, LONGEST_LAG_SECONDS = 0.5, 2.0
# Standard deviation of the smoothing that finds slow changes, s: a syllable lasts 0.2 s.
SMOOTHING_SECONDS = 0.2
# Fewest frames from which a correlation is taken, as a multiple of the longest lag.
MIN_LENGTHS = 2


def scene_leakage(clips: ClipPair) -> float:
    """Measure how much the output's mouth follows the original's, which says something else.

    Slow changes are removed first: two people who speak in the same seconds and are silent in the
    same seconds open their mouths together. What is left is correlated, less the mean of the
    correlations at lags at which nothing can leak.

    Args:
        clips: both clips.

    Returns:
        0 for a mouth that knows nothing of the original's, 1 for the original's own; NaN where
        both speak the same line, a mouth does not move, or the clips are shorter than 4 s.
    """
    # A mouth that speaks the same line follows the original rightly.
    if clips.same_line:
        return float("nan")
    if len(clips.output_times) < 2:
        return float("nan")
    frame = float(np.median(np.diff(clips.output_times)))
    shortest = round(SHORTEST_LAG_SECONDS / frame)
    longest = round(LONGEST_LAG_SECONDS / frame)
    if len(clips.output_times) < MIN_LENGTHS * longest:
        return float("nan")
    first, second = (
        remove_slow_changes(mouth_opening(each), SMOOTHING_SECONDS / frame)
        for each in (clips.reference_landmarks, clips.output_landmarks)
    )
    here = lagged_correlation(first, second, 0, min_std=MIN_OPENING_STD)
    # Both mouths obey the rhythm of speech, which correlates them a little at any lag.
    elsewhere = [
        lagged_correlation(first, second, sign * lag, min_std=MIN_OPENING_STD)
        for lag in range(shortest, longest + 1)
        for sign in (-1, 1)
    ]
    if not np.isfinite(here) or not np.isfinite(elsewhere).any():
        return float("nan")
    return float(np.clip(here - np.nanmean(elsewhere), 0.0, 1.0))


def remove_slow_changes(
    values: NDArray[np.float64],  # [N]
    sigma: float,
) -> NDArray[np.float64]:  # [N]
    """Subtract a smoothed copy.

    Args:
        values: samples; NaN without one. [N]
        sigma: standard deviation of the smoothing, samples.

    Returns:
        The differences; NaN stays NaN. [N]
    """
    seen = np.isfinite(values)
    if not seen.any():
        return values
    filled = np.interp(np.arange(len(values)), np.flatnonzero(seen), values[seen])
    return np.where(seen, values - gaussian_filter1d(filled, sigma, mode="nearest"), np.nan)


METRIC = Metric(
    unit="",
    bounds=(0.0, 1.0),
    direction="lower",
    best=0.0,
    source="correlation of the lip gaps of dub and scene without what is slower than 0.2 s, less "
    "the mean correlation at lags of 0.5 to 2 s; for a dub whose line is not the scene's",
    measure=ClipMeasure(scene_leakage),
    # Of two unrelated lines of 5 to 10 s it is 0.25 at most by chance (docs/judging.md).
    good=0.25,
    poor=0.5,
    best_if_unchanged=False,
)
