"""Landmarks of all frames of a clip, for measurements."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dubfew.media import probe, read_frames
from dubfew.progress import Progress, ProgressCallback, no_progress
from dubfew.reconstruction.detection.landmarks import NUM_LANDMARKS, FaceLandmarker


def detect_landmarks(
    video: Path | str, *, progress: ProgressCallback = no_progress
) -> NDArray[np.float32]:  # [N, 478, 3]
    """Detect the landmarks of a face in every frame of a video.

    Args:
        video: file with one visible person.
        progress: function that is called after every frame, with the stage "landmarks".

    Returns:
        Landmarks in px; rows of frames without a face are NaN. [N, 478, 3]

    Raises:
        MediaError: The file cannot be read as video.
    """
    rows = []
    total = probe(video).frames
    with FaceLandmarker() as landmarker:
        for frame in read_frames(video):
            rows.append(landmarker(frame.to_rgb()))
            progress(Progress("landmarks", len(rows), total))
    return stack_landmarks(rows)


def stack_landmarks(
    rows: list[NDArray[np.float32] | None],
) -> NDArray[np.float32]:  # [N, 478, 3]
    """Stack the landmarks of N frames, with NaN where a frame has none.

    Example:
        >>> stack_landmarks([None, np.zeros((478, 3), np.float32)])[:, 0, 0]
        array([nan,  0.], dtype=float32)
    """
    clip = np.full((len(rows), NUM_LANDMARKS, 3), np.nan, np.float32)
    for index, row in enumerate(rows):
        if row is not None:
            clip[index] = row
    return clip
