"""Landmarks of several faces at the price of one face while only one is there."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dubfew.reconstruction.detection.landmarks import FaceCounter, FaceLandmarker

# While one face is followed, others are looked for every so many frames and where a shot begins:
# looking in every frame would double the time of a clip that shows one.
FACE_COUNT_INTERVAL_FRAMES = 12
MAX_TRACKED_FACES = 4  # faces that are followed at once
MULTI_FACE_CONFIRMATIONS = (
    3  # looks in a row that must find several, unless a shot begins with them
)


class MultiFaceLandmarker:
    """Landmarks of all faces of frame after frame; one face costs no more than one does.

    Use as a context manager.
    """

    def __init__(self) -> None:
        self._single_landmarker = FaceLandmarker()
        self._face_counter = FaceCounter()
        self._multi_landmarker: FaceLandmarker | None = None
        self._frames_since_count = FACE_COUNT_INTERVAL_FRAMES
        self._confirmations = MULTI_FACE_CONFIRMATIONS - 1

    def __enter__(self) -> MultiFaceLandmarker:
        return self

    def __exit__(self, *error: object) -> None:
        for part in (self._single_landmarker, self._face_counter, self._multi_landmarker):
            if part is not None:
                part.__exit__(None, None, None)

    def __call__(self, rgb: NDArray[np.uint8], is_new_shot: bool) -> list[NDArray[np.float32]]:
        """Landmarks of the faces in the next frame, [478, 3] px each."""
        if is_new_shot:
            self._single_landmarker.reset()
            self._close_multi_landmarker()
            self._frames_since_count, self._confirmations = (
                FACE_COUNT_INTERVAL_FRAMES,
                MULTI_FACE_CONFIRMATIONS - 1,
            )
        if self._multi_landmarker is None:
            self._update_face_count(rgb)
        if self._multi_landmarker is not None:
            return self._multi_landmarker.detect_all(rgb)
        return self._single_landmarker.detect_all(rgb)

    def _update_face_count(self, rgb: NDArray[np.uint8]) -> None:
        self._frames_since_count += 1
        if (
            self._frames_since_count < FACE_COUNT_INTERVAL_FRAMES
            and not 0 < self._confirmations < MULTI_FACE_CONFIRMATIONS
        ):
            return
        self._frames_since_count = 0
        self._confirmations = self._confirmations + 1 if self._face_counter(rgb) > 1 else 0
        if self._confirmations == MULTI_FACE_CONFIRMATIONS:
            self._multi_landmarker = FaceLandmarker(max_faces=MAX_TRACKED_FACES)

    def _close_multi_landmarker(self) -> None:
        if self._multi_landmarker is not None:
            self._multi_landmarker.__exit__(None, None, None)
            self._multi_landmarker = None
