"""Landmarks of all frames of a clip, for measurements."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dubfew.media import probe, read_frames
from dubfew.progress import Progress, ProgressCallback, no_progress
from dubfew.reconstruction.detection.landmarks import NUM_LANDMARKS, FaceLandmarker
from dubfew.utils.growable_array import GrowableArray

# Row of a frame without a face.
NO_FACE = np.full((NUM_LANDMARKS, 3), np.nan, np.float32)


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
    rows = LandmarkRows()
    total = probe(video).frames
    with FaceLandmarker() as landmarker:
        for frame in read_frames(video):
            rows.append(landmarker(frame.to_rgb()))
            progress(Progress("landmarks", len(rows), total))
    return rows.take_array()


class LandmarkRows:
    """Landmarks of frames that come one by one, in one array without a second copy."""

    def __init__(self) -> None:
        self._rows = GrowableArray((NUM_LANDMARKS, 3), np.float32)

    def __len__(self) -> int:
        return len(self._rows)

    def append(self, row: NDArray[np.float32] | None) -> None:
        """Append the landmarks of a frame [478, 3]; None, which becomes NaN, without a face."""
        self._rows.append(NO_FACE if row is None else row)

    def take_array(self) -> NDArray[np.float32]:
        """Return all rows, and empty this object. [N, 478, 3]"""
        return self._rows.take_array()


def stack_landmarks(
    rows: list[NDArray[np.float32] | None],
) -> NDArray[np.float32]:  # [N, 478, 3]
    """Stack the landmarks of N frames, with NaN where a frame has none.

    Example:
        >>> stack_landmarks([None, np.zeros((478, 3), np.float32)])[:, 0, 0]
        array([nan,  0.], dtype=float32)
    """
    clip = LandmarkRows()
    for row in rows:
        clip.append(row)
    return clip.take_array()
