"""Landmarks of all frames of a clip, for measurements."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dubfew.media import Frame, probe, read_frames
from dubfew.progress import Progress, ProgressCallback, no_progress
from dubfew.reconstruction.detection.face_region import FaceRegion
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
    with ClipLandmarker() as landmarker:
        for frame in read_frames(video):
            rows.append(landmarker(frame))
            progress(Progress("landmarks", len(rows), total))
    return rows.take_array()


class ClipLandmarker:
    """Detect the landmarks of one face in the frames of a clip, in order. A context manager.

    Only the surroundings of the face in the frame before are converted to RGB, and by swscale's
    quick path: good enough to find a face, and a fifth of the time.
    """

    def __init__(self) -> None:
        self._landmarker = FaceLandmarker()
        self._region = FaceRegion()
        self._last: NDArray[np.float32] | None = None

    def __enter__(self) -> ClipLandmarker:
        return self

    def __exit__(self, *error: object) -> None:
        self._landmarker.__exit__(*error)

    def __call__(self, frame: Frame) -> NDArray[np.float32] | None:
        """Find the landmarks in the next frame, px; None without a face. [478, 3]"""
        self._last = self._landmarker(self._region.read(frame, self._last))
        return self._last


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
