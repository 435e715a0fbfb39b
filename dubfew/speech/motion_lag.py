"""Lag of a filmed mouth against its sound, measured on gap and width of the lips."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dubfew.motion.mouth_motion import MouthMotion
from dubfew.utils.signal import (
    LAGS_PER_SECOND,
    MAX_LAG_SECONDS,
    LagEstimate,
    estimate_curve_lag,
    pearson_correlation,
)

# A lag is believed if its correlation beats that of no lag by the first figure, plus the second
# for every second of lag: among 81 lags one agrees better than zero by chance, and the larger the
# lag the likelier is chance. Lower figures correct lags that are not there, higher ones leave
# pictures out of step.
_MIN_CORRELATION_GAIN, _CORRELATION_GAIN_PER_SECOND = 0.05, 0.4
# Time between two independent moments of a mouth, s: about a syllable. With a longer one footage
# counts as fewer moments and fewer lags are clear, with a shorter one more of them are wrong.
_INDEPENDENT_SECONDS = 0.15
# Mean size of the lags that are expected before anything is measured, s (a Laplace distribution).
_EXPECTED_LAG_SECONDS = 0.12
# A lag is clear if the probability of all lags within the first figure, s, is at least the second.
# Then every clear lag in 4 s of film is right to 60 ms, and nine in ten are clear (39 clips, people
# left out by turns, pictures moved on purpose). With sounds of other clips none is clear in 4 s,
# 8 % are in 3 s.
_CLEAR_RANGE_SECONDS, _CLEAR_PROBABILITY = 0.045, 0.8
# Least footage that a lag is told from, s: from less, one clear lag in fifty was wrong.
MIN_LAG_FOOTAGE_SECONDS = 2.0
# Largest squared correlation, so that curves that agree fully have a finite likelihood.
_MAX_SQUARED_CORRELATION = 0.9999


@dataclass(frozen=True)
class PictureLag:
    """Lag of a picture against its sound, and how sure it is.

    Attributes:
        lag_seconds: delay of the picture, s; negative if it is early. The most probable lag.
        probability: probability of the lags within 45 ms of it, 0 to 1.
        r: Pearson correlation of predicted and tracked lip gap at that lag.
        r_zero: the same at the file's own timing.
    """

    lag_seconds: float
    probability: float
    r: float
    r_zero: float

    @property
    def is_clear(self) -> bool:
        """Whether the footage tells the lag."""
        return self.probability >= _CLEAR_PROBABILITY

    @property
    def correction_seconds(self) -> float:
        """Lag to remove, s: the lag if it is clear, else 0."""
        return self.lag_seconds if self.is_clear else 0.0


def estimate_picture_lag(predicted: MouthMotion, observed: MouthMotion) -> PictureLag:
    """Estimate how late a picture is against its sound, and how sure that is.

    Gap and width of the lips are compared. A linear regression with Gaussian residuals over n
    independent moments has the likelihood (1 - r^2) ** (-n / 2) relative to no relation, if r is
    the correlation and the residuals' variance the most likely one. Times the prior of small lags,
    this gives the probability of each lag within 0.4 s. Where several lags agree about as well,
    none is probable.

    Args:
        predicted: motion predicted from the sound, sampled at least as finely as the video.
        observed: motion tracked in the picture.

    Returns:
        The most probable lag in steps of 10 ms. It is not clear with less than 2 s of footage, or
        at the ends of the range.
    """
    limit = round(MAX_LAG_SECONDS * LAGS_PER_SECOND)
    lags = np.arange(-limit, limit + 1) / LAGS_PER_SECOND
    pairs = (
        (predicted.aperture(), observed.aperture()),
        (predicted.width_change(), observed.width_change()),
    )
    r: NDArray[np.float64] = np.array(
        [
            [
                pearson_correlation(np.interp(observed.times - lag, predicted.times, first), second)
                for lag in lags
            ]
            for first, second in pairs
        ]
    )
    seconds = float(observed.times[-1] - observed.times[0]) if len(observed) else 0.0
    # A mouth that does the opposite of what the sound says is no evidence of a lag.
    squared = np.minimum(np.maximum(r, 0) ** 2, _MAX_SQUARED_CORRELATION)
    log_likelihood = -seconds / _INDEPENDENT_SECONDS / 2 * np.log(1 - squared).sum(axis=0)
    log_posterior = log_likelihood - np.abs(lags) / _EXPECTED_LAG_SECONDS
    posterior = np.exp(log_posterior - log_posterior.max())
    best = int(posterior.argmax())
    near = np.abs(lags - lags[best]) <= _CLEAR_RANGE_SECONDS
    probability = float(posterior[near].sum() / posterior.sum())
    if seconds < MIN_LAG_FOOTAGE_SECONDS or best in (0, len(lags) - 1):
        probability = 0.0
    return PictureLag(float(lags[best]), probability, float(r[0, best]), float(r[0, limit]))


def estimate_lag(
    predicted: MouthMotion, observed: MouthMotion, *, max_lag: float = MAX_LAG_SECONDS
) -> LagEstimate:
    """Estimate how late a picture is against its sound, from the gap between the lips.

    Args:
        predicted: motion predicted from the sound, sampled at least as finely as the video.
        observed: motion tracked in the picture.
        max_lag: largest lag to try in either direction, s.

    Returns:
        The lag of highest correlation, in steps of 10 ms; 0 where the maximum lies at the end of
        the range, which is no peak.
    """
    return estimate_curve_lag(
        predicted.times, predicted.aperture(), observed.times, observed.aperture(), max_lag
    )


def reliable_lag(estimate: LagEstimate) -> float:
    """Return the lag to correct, s: the estimated one if it clearly beats no lag, else 0.

    Example:
        >>> reliable_lag(LagEstimate(lag_seconds=0.1, r_best=0.8, r_zero=0.2))
        0.1
        >>> reliable_lag(LagEstimate(lag_seconds=0.1, r_best=0.3, r_zero=0.25))
        0.0
    """
    lag = estimate.lag_seconds
    gain_needed = _MIN_CORRELATION_GAIN + _CORRELATION_GAIN_PER_SECOND * abs(lag)
    return lag if estimate.r_best > estimate.r_zero + gain_needed else 0.0
