"""Pictures and sounds for tests."""

from __future__ import annotations

from fractions import Fraction

import av
import numpy as np


def noise_planes(picture: av.VideoFrame, rng: np.random.Generator, bits: int = 8) -> None:
    """Fill a picture's planes with random samples of the legal range (16 to 235)."""
    step = 2 ** (bits - 8)
    for plane in picture.planes:
        rows = np.frombuffer(plane, np.uint16 if bits > 8 else np.uint8)
        rows[:] = rng.integers(16 * step, 235 * step, rows.shape)


def smooth_rgb(height: int, width: int, number: int) -> np.ndarray:
    """A moving color gradient, different for every number."""
    y, x = np.mgrid[0:height, 0:width]
    parts = [x * 2 + number * 7, y * 2 + number * 3, x + y + number * 11]
    triangle = [np.abs((p % 510) - 255) for p in parts]
    return np.stack(triangle, axis=-1).astype(np.uint8)


def sine(seconds: float, rate: int, hertz: float = 440.0) -> np.ndarray:
    return (0.5 * np.sin(2 * np.pi * hertz * np.arange(round(seconds * rate)) / rate)).astype(
        np.float32
    )


def sound_frame(samples: np.ndarray, rate: int, layout: str, start: int) -> av.AudioFrame:
    """PyAV's frame of samples [channels, n]."""
    frame = av.AudioFrame.from_ndarray(samples.T.reshape(1, -1), "flt", layout)
    frame.sample_rate, frame.pts, frame.time_base = rate, start, Fraction(1, rate)
    return frame
