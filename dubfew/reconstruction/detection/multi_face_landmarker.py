"""Landmarks of several faces, at the cost of one face while a clip shows only one."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dubfew.reconstruction.detection.face_levels import FaceLevels
from dubfew.reconstruction.detection.face_turns import FaceTurns
from dubfew.reconstruction.detection.landmarks import FaceCounter, FaceLandmarker
from dubfew.reconstruction.detection.small_faces import SmallFaceLandmarker

# While one face is followed, faces are counted in every 12th frame and where a shot begins.
# Counting in every frame would double the time of a clip with one face; counting more rarely
# finds a second person later.
FACE_COUNT_INTERVAL_FRAMES = 12
# Faces followed at once. Every further face costs the time of one face.
MAX_TRACKED_FACES = 4
# Consecutive counts of several faces before several are followed. One count suffices at the start
# of a shot; later three are needed, because single counts are wrong now and then.
MULTI_FACE_CONFIRMATIONS = 3
# While a shot has shown no face at all, a small one is searched for in its first frame and in every
# 50th: a search takes as long as 20 frames do.
SMALL_FACE_INTERVAL_FRAMES = 50


class MultiFaceLandmarker:
    """Find the landmarks of all faces, frame after frame. Use as a context manager.

    Starts with a landmarker for one face. A face counter decides when the slower landmarker for
    several faces takes over, which then works until the end of the shot. Where a shot shows no face
    at all, a small one is searched for in parts of the frame.
    """

    def __init__(self) -> None:
        self._single_landmarker = FaceLandmarker()
        self._face_counter = FaceCounter()
        self._multi_landmarker: FaceLandmarker | None = None
        self._small_landmarker: SmallFaceLandmarker | None = None
        self._frames_since_search = 0
        self._last_face: NDArray[np.float32] | None = None
        self._levels, self._turns = FaceLevels(), FaceTurns()
        self._is_first = True
        self._expect_new_shot()

    def __enter__(self) -> MultiFaceLandmarker:
        return self

    def __exit__(self, *error: object) -> None:
        parts = (self._single_landmarker, self._face_counter)
        for part in (*parts, self._multi_landmarker, self._small_landmarker):
            if part is not None:
                part.__exit__(None, None, None)

    def __call__(self, rgb: NDArray[np.uint8], is_new_shot: bool) -> list[NDArray[np.float32]]:
        """Find the landmarks of the faces in the next frame.

        Faces are looked at upright (`FaceTurns`) and at usual levels (`FaceLevels`).

        Args:
            rgb: the frame. [H, W, 3]
            is_new_shot: True if a shot begins with it.

        Returns:
            Landmarks of each face, px. [478, 3] each
        """
        if is_new_shot:
            self._levels.reset()
        if is_new_shot or self._is_first:
            self._turns.count = 2 if self._is_upside_down(rgb) else 0
            self._is_first = False
        was_usual = not self._levels.changes
        faces = self._look(rgb, is_new_shot)
        self._levels.update(rgb, faces)
        has_turned = self._turns.update(faces)
        if has_turned:
            self._forget_places()
        if has_turned or (was_usual and self._levels.changes):
            # The first frames of a dark shot, or of a head that lies down, are looked at again, as
            # those that follow.
            faces = self._look(rgb, False) or faces
        return faces

    def _look(self, rgb: NDArray[np.uint8], is_new_shot: bool) -> list[NDArray[np.float32]]:
        """Find the landmarks in a frame, looked at upright and at usual levels."""
        upright = self._turns.apply(self._levels.apply(rgb))
        faces = self._turns.restore(self._detect(upright, is_new_shot), rgb.shape)
        if faces and self._last_face is not None:
            self._last_face = faces[0]
        return faces

    def _is_upside_down(self, rgb: NDArray[np.uint8]) -> bool:
        """Tell whether a frame shows a face upside down alone; on its side it is found anyway."""
        if self._face_counter(rgb):
            return False
        return self._face_counter(np.ascontiguousarray(rgb[::-1, ::-1])) > 0

    def _forget_places(self) -> None:
        """Forget where faces were: the frames that follow are turned otherwise."""
        self._single_landmarker.reset()
        if self._multi_landmarker is not None:
            self._multi_landmarker.reset()
        if self._small_landmarker is not None:
            self._small_landmarker.forget()

    def _detect(self, rgb: NDArray[np.uint8], is_new_shot: bool) -> list[NDArray[np.float32]]:
        """Find the landmarks in a frame whose levels are usual ones."""
        # The faces of the last shot must not be searched for in the new one.
        if is_new_shot:
            self._single_landmarker.reset()
            self._close_multi_landmarker()
            self._expect_new_shot()
        if self._multi_landmarker is None:
            self._update_face_count(rgb)
        # From the first confirmed count on, all faces are followed until the shot ends.
        if self._multi_landmarker is not None:
            return self._multi_landmarker.detect_all(rgb)
        faces = self._single_landmarker.detect_all(rgb)
        self._last_face = faces[0] if faces else None
        if faces:
            self._has_seen_face = True
        return faces if self._has_seen_face else self._detect_small(rgb)

    @property
    def followed_face(self) -> NDArray[np.float32] | None:
        """Return the face around which alone the next frame of a shot is looked at.

        Returns:
            Its landmarks in the last frame, px; None where all of the frame is searched. [478, 3]
        """
        is_counting = (
            self._frames_since_count + 1 >= FACE_COUNT_INTERVAL_FRAMES or self._is_confirming
        )
        return None if self._multi_landmarker is not None or is_counting else self._last_face

    @property
    def _is_confirming(self) -> bool:
        """Return True if a count of several faces is to be confirmed in the next frame."""
        return 0 < self._confirmations < MULTI_FACE_CONFIRMATIONS

    def _detect_small(self, rgb: NDArray[np.uint8]) -> list[NDArray[np.float32]]:
        """Follow a small face, or search for one where it is time."""
        if self._small_landmarker is None:
            self._small_landmarker = SmallFaceLandmarker()
        face = None
        if self._small_landmarker.is_following:
            face = self._small_landmarker.follow(rgb)
        elif self._frames_since_search >= SMALL_FACE_INTERVAL_FRAMES:
            self._frames_since_search = 0
            face = self._small_landmarker.search(rgb)
        self._frames_since_search += 1
        return [] if face is None else [face]

    def _expect_new_shot(self) -> None:
        """Count faces in the next frame, and let this one count decide."""
        self._frames_since_count = FACE_COUNT_INTERVAL_FRAMES
        self._confirmations = MULTI_FACE_CONFIRMATIONS - 1
        self._has_seen_face = False
        self._last_face = None
        self._frames_since_search = SMALL_FACE_INTERVAL_FRAMES
        if self._small_landmarker is not None:
            self._small_landmarker.forget()

    def _update_face_count(self, rgb: NDArray[np.uint8]) -> None:
        """Count faces if it is time, and start the landmarker for several if there are several."""
        self._frames_since_count += 1
        # A first count of several faces is confirmed in the very next frames.
        if self._frames_since_count < FACE_COUNT_INTERVAL_FRAMES and not self._is_confirming:
            return
        self._frames_since_count = 0
        self._confirmations = self._confirmations + 1 if self._face_counter(rgb) > 1 else 0
        if self._confirmations == MULTI_FACE_CONFIRMATIONS:
            self._multi_landmarker = FaceLandmarker(max_faces=MAX_TRACKED_FACES)

    def _close_multi_landmarker(self) -> None:
        if self._multi_landmarker is not None:
            self._multi_landmarker.__exit__(None, None, None)
            self._multi_landmarker = None
