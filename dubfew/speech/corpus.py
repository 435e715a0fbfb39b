"""Sound with the mouth motion that belongs to it, and how the two lie to each other."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dubfew.motion.mouth_motion import MouthMotion

# Pictures later or earlier than this against their sound are not looked for, s.
MAX_LAG_SECONDS = 0.4


@dataclass(frozen=True)
class SpeechClip:
    """A filmed speaker: sound and what the mouth did.

    Attributes:
        name: of the clip.
        samples: mono at 16 kHz. [n]
        motion: tracked, on the clock of the samples.
        identity: of the speaker.
    """

    name: str
    samples: NDArray[np.float32]
    motion: MouthMotion
    identity: str = ""


@dataclass(frozen=True)
class LagEstimate:
    """How sound and picture lie to each other.

    Attributes:
        lag_seconds: how much later the picture shows what is heard, s (negative: earlier).
        r_best: Pearson correlation of the apertures at that lag.
        r_zero: the same with no lag.
    """

    lag_seconds: float
    r_best: float
    r_zero: float


def pearson_correlation(a: NDArray, b: NDArray) -> float:
    """Pearson correlation; 0 where one of them does not vary."""
    a, b = a - a.mean(), b - b.mean()
    scale = float(np.sqrt((a**2).sum() * (b**2).sum()))
    return float((a * b).sum()) / scale if scale > 1e-12 else 0.0


def estimate_lag(
    predicted: MouthMotion, observed: MouthMotion, *, max_lag: float = MAX_LAG_SECONDS
) -> LagEstimate:
    """Lag of a picture against its sound, by cross-correlation of lip apertures.

    Args:
        predicted: from the sound, on a grid at least as fine as the video's frames.
        observed: from the picture.
        max_lag: lag to look for in either direction, s.

    Returns:
        The lag of highest correlation, in steps of 10 ms; 0 where only the end of the range
        would do, which is no peak.
    """
    return estimate_curve_lag(
        predicted.times, predicted.aperture(), observed.times, observed.aperture(), max_lag
    )


def estimate_curve_lag(
    audio_times: NDArray[np.float64],  # [M]
    audio_curve: NDArray,  # [M]
    video_times: NDArray[np.float64],  # [N]
    video_curve: NDArray,  # [N]
    max_lag: float = MAX_LAG_SECONDS,
) -> LagEstimate:
    """``estimate_lag`` for two curves: one that is heard, one that is seen."""
    lags = np.arange(-round(max_lag * 100), round(max_lag * 100) + 1) / 100
    r = [
        pearson_correlation(np.interp(video_times - lag, audio_times, audio_curve), video_curve)
        for lag in lags
    ]
    best = int(np.argmax(r))
    if best in (0, len(lags) - 1):
        best = len(lags) // 2
    return LagEstimate(float(lags[best]), r[best], r[len(lags) // 2])


def reliable_lag(sync: LagEstimate) -> float:
    """The lag to correct, s: that of the highest correlation where it clearly beats none.

    The larger the lag, the clearer it must be.
    """
    return (
        sync.lag_seconds if sync.r_best > sync.r_zero + 0.05 + 0.4 * abs(sync.lag_seconds) else 0.0
    )
