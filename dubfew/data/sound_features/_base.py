"""The interface of a sound feature, and the window of it that belongs to a frame."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

# Frame rate that windows are counted in, Hz: that of all painting renderers.
CLIP_FPS = 25
# Added before times are rounded down to steps: 0.28 s must not begin a step early.
_STEP_TOLERANCE = 1e-6


@dataclass(frozen=True)
class SoundFeature:
    """One entry of `dubfew.data.sound_features.SOUND_FEATURES`.

    Attributes:
        bands: values of each step, F.
        rate_hz: steps a second.
        length: steps of a frame's window, L.
        lead_frames: frames at 25 fps from the window's start to the frame in its middle.
        extract: computes the steps of a whole recording. Step k begins at, or is centered on, k /
            ``rate_hz`` s. [n] samples in [-1, 1] at 16 kHz to [K, F]
    """

    bands: int
    rate_hz: int
    length: int
    lead_frames: int
    extract: Callable[[NDArray[np.float32]], NDArray[np.float32]]


def cut_sound_window(
    feature: SoundFeature,
    steps: NDArray[np.float32],  # [K, F]
    seconds: float,
) -> NDArray[np.float32]:  # [F, L]
    """Cut the window of the frame at a time out of a recording's steps.

    Args:
        feature: says how long a window is.
        steps: what the feature extracted, at least one step. [K, F]
        seconds: time of the frame since the recording's first sample, s; may lie outside of it.

    Returns:
        The window, bands first; the first and the last step are repeated beyond the ends. [F, L]

    Example:
        >>> feature = SoundFeature(1, 25, 3, 1, lambda samples: samples[:, None])
        >>> cut_sound_window(feature, np.arange(5, dtype=np.float32)[:, None], 0.0).tolist()
        [[0.0, 0.0, 1.0]]
    """
    start = seconds - feature.lead_frames / CLIP_FPS
    first = int(np.floor(start * feature.rate_hz + _STEP_TOLERANCE))
    rows = np.clip(np.arange(first, first + feature.length), 0, len(steps) - 1)
    return np.ascontiguousarray(steps[rows].T)
