"""Clips with known answers, as pairs of frames and of landmarks."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from dubfew.evaluate.face_geometry import LIP_POINTS, PixelBox
from dubfew.evaluate.metrics import ClipPair, FramePair, Metric
from dubfew.reconstruction.heads.landmark_indices import INNER_LIPS, OUTER_LIPS

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
    """Frames of two clips in step, with a face and an editable region in all of them."""
    face = face_in_frame()
    return [
        FramePair(a, b, FACE_BOX, MOUTH_BOX, editable_pixels(), face, face)
        for a, b in zip(reference, output, strict=True)
    ]


def editable_pixels() -> NDArray[np.bool_]:
    """The region that may change in the frames of `noise_frames`. [48, 64]"""
    editable = np.zeros((48, 64), np.bool_)
    editable[10:44, 6:46] = True
    return editable


def face_in_frame() -> NDArray[np.float32]:
    """Landmarks in the frames of `noise_frames`: eyes above, lips on a circle. [478, 3]"""
    face = np.zeros((478, 3), np.float32)
    face[33, :2], face[263, :2] = (14, 8), (34, 8)
    for lips, radius in ((OUTER_LIPS, 1.0), (INNER_LIPS, 0.5)):
        angles = np.linspace(0, 2 * np.pi, len(lips), endpoint=False)
        face[list(lips), 0] = 24 + radius * 5 * np.cos(angles)
        face[list(lips), 1] = 30 + radius * 4 * np.sin(angles)
    return face


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
