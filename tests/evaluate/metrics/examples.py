"""Clips with known answers, as pairs of frames and of landmarks."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from dubfew.evaluate.face_geometry import LIP_POINTS, PixelBox
from dubfew.evaluate.metrics import ClipPair, FramePair, Metric

NUM_FRAMES = 60
# Where the face and the mouth lie in the frames of `noise_frames`.
FACE_BOX, MOUTH_BOX = PixelBox(4, 2, 44, 42), PixelBox(12, 20, 36, 40)


def noise_frames(count: int, seed: int = 0) -> list[NDArray[np.uint8]]:
    """Frames of noise. [48, 64, 3] each"""
    rng = np.random.default_rng(seed)
    return list(rng.integers(20, 236, (count, 48, 64, 3), dtype=np.uint8))


def talking_head(frames: int = NUM_FRAMES, seed: int = 0) -> NDArray[np.float32]:
    """Landmarks of a face that drifts to the right while its lips open at random. [N, 478, 3]"""
    rng = np.random.default_rng(seed)
    face = rng.uniform(0, 200, (478, 3)).astype(np.float32)
    face[33, :2], face[263, :2] = (50, 60), (150, 60)
    face[list(LIP_POINTS), :2] = rng.uniform((80, 140), (120, 160), (40, 2))
    face[[13, 14], :2] = (100, 150)
    clip = np.repeat(face[None], frames, axis=0)
    gap = gaussian_filter(rng.uniform(0, 40, frames), 1.0)
    clip[:, 14, 1] += gap
    clip[..., 0] += np.arange(frames)[:, None] * 0.5
    return clip.astype(np.float32)


def pair_frames(
    reference: Sequence[NDArray[np.uint8]], output: Sequence[NDArray[np.uint8]]
) -> list[FramePair]:
    """Frames of two clips in step, with a face in all of them."""
    return [FramePair(a, b, FACE_BOX, MOUTH_BOX) for a, b in zip(reference, output, strict=True)]


def pair_clips(reference: NDArray[np.float32], output: NDArray[np.float32]) -> ClipPair:
    """Two clips of which only the landmarks are there."""
    times = np.arange(len(output)) / 25
    return ClipPair(Path("reference.mp4"), Path("output.mp4"), reference, output, times)


def run_metric(metric: Metric, frames: Sequence[FramePair], clips: ClipPair) -> float:
    """Measure a metric that needs nothing but the clips."""
    measurement = metric.measure.start(None)
    for pair in frames:
        measurement.add_frame(pair)
    return measurement.compute(clips)
