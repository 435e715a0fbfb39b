"""Sound with the mouth motion that belongs to it, and how the two lie to each other."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dubfew.motion.mouth_motion import MouthMotion

# Pictures later or earlier than this against their sound are not looked for, s.
LARGEST_LAG = 0.4


@dataclass(frozen=True)
class Clip:
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
class Sync:
    """How sound and picture lie to each other.

    Attributes:
        lag: how much later the picture shows what is heard, s (negative: earlier).
        r: Pearson correlation of the apertures at that lag.
        r_zero: the same with no lag.
    """

    lag: float
    r: float
    r_zero: float


def correlation(a: NDArray, b: NDArray) -> float:
    """Pearson correlation; 0 where one of them does not vary."""
    a, b = a - a.mean(), b - b.mean()
    scale = float(np.sqrt((a**2).sum() * (b**2).sum()))
    return float((a * b).sum()) / scale if scale > 1e-12 else 0.0


def find_lag(
    predicted: MouthMotion, observed: MouthMotion, *, largest: float = LARGEST_LAG
) -> Sync:
    """Lag of a picture against its sound, by cross-correlation of lip apertures.

    Args:
        predicted: from the sound, on a grid at least as fine as the video's frames.
        observed: from the picture.
        largest: lag to look for in either direction, s.

    Returns:
        The lag of highest correlation, in steps of 10 ms; 0 where only the end of the range
        would do, which is no peak.
    """
    return lag_of(
        predicted.times, predicted.aperture(), observed.times, observed.aperture(), largest
    )


def lag_of(
    times: NDArray[np.float64],  # [M]
    heard: NDArray,  # [M]
    seen_at: NDArray[np.float64],  # [N]
    seen: NDArray,  # [N]
    largest: float = LARGEST_LAG,
) -> Sync:
    """``find_lag`` for two curves: one that is heard, one that is seen."""
    lags = np.arange(-round(largest * 100), round(largest * 100) + 1) / 100
    r = [correlation(np.interp(seen_at - lag, times, heard), seen) for lag in lags]
    best = int(np.argmax(r))
    if best in (0, len(lags) - 1):
        best = len(lags) // 2
    return Sync(float(lags[best]), r[best], r[len(lags) // 2])


def trusted_lag(sync: Sync) -> float:
    """The lag to correct, s: that of the highest correlation where it clearly beats none.

    The larger the lag, the clearer it must be.
    """
    return sync.lag if sync.r > sync.r_zero + 0.05 + 0.4 * abs(sync.lag) else 0.0
