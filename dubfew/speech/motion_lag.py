"""Lag of a filmed mouth against its sound, measured on lip gaps."""

from __future__ import annotations

from dubfew.motion.mouth_motion import MouthMotion
from dubfew.utils.signal import MAX_LAG_SECONDS, LagEstimate, estimate_curve_lag

# A lag is believed if its correlation beats that of no lag by the first figure, plus the second
# for every second of lag: among 81 lags one agrees better than zero by chance, and the larger the
# lag the likelier is chance. Lower figures correct lags that are not there, higher ones leave
# pictures out of step.
_MIN_CORRELATION_GAIN, _CORRELATION_GAIN_PER_SECOND = 0.05, 0.4


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
