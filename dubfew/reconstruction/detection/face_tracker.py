"""Faces linked from frame to frame into tracklets, by their position."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from dubfew.reconstruction.detection.face_descriptors import NUM_DESCRIPTOR_CROPS, crop_face
from dubfew.reconstruction.detection.landmarks import NUM_LANDMARKS
from dubfew.reconstruction.detection.shots import MAX_FACE_STEP_WIDTHS
from dubfew.reconstruction.visibility.temporal_occlusion import (
    PATCH_HEIGHT_PX,
    PATCH_WIDTH_PX,
    extract_face_patch,
)
from dubfew.utils.arrays import FloatArray
from dubfew.utils.growable_array import GrowableArray, take_rows

# A face that was lost for longer, frames, is linked by what it looks like.
MAX_LOST_FRAMES = 12
CROP_INTERVAL_FRAMES = 12


@dataclass
class Tracklet:
    """One face through part of a shot.

    Attributes:
        frames: in which it is seen, rising.
        rows: of the ``TrackletSet`` that belong to it, one for each.
        crops: a few: frame, picture of the face and the landmarks in it.
    """

    frames: list[int] = field(default_factory=list)
    rows: list[int] = field(default_factory=list)
    crops: list[tuple[int, NDArray[np.uint8], FloatArray]] = field(default_factory=list)

    def select_frames(self, first: int, stop: int) -> Tracklet:
        """The part in some frames."""
        a, b = np.searchsorted(self.frames, [first, stop])
        pictures = [picture for picture in self.crops if first <= picture[0] < stop]
        return Tracklet(self.frames[a:b], self.rows[a:b], pictures)


@dataclass(frozen=True)
class TrackletSet:
    """Every face of every frame, as a ``FaceTracker`` saw them: M in all.

    Attributes:
        tracklets: which of them belong together.
        landmarks: px. [M, 478, 3]
        patches: small pictures of the faces, see ``extract_face_patch``. [M, 48, 32, 3]
    """

    tracklets: list[Tracklet]
    landmarks: FloatArray
    patches: NDArray[np.uint8]

    def tracklet_landmarks(self, tracklet: Tracklet) -> FloatArray:
        """Px. [m, 478, 3]"""
        return take_rows(self.landmarks, np.array(tracklet.rows))


class FaceTracker:
    """Links the faces of a frame to those of the frames before. Feed it frames in order."""

    def __init__(self) -> None:
        self._tracklets: list[Tracklet] = []
        self._active_tracklets: list[tuple[Tracklet, FloatArray]] = []  # and where it was last seen
        self._landmarks = GrowableArray((NUM_LANDMARKS, 3), np.float32)
        self._patches = GrowableArray((PATCH_HEIGHT_PX, PATCH_WIDTH_PX, 3), np.uint8)

    def update(
        self,
        frame_index: int,
        faces: Sequence[FloatArray],
        rgb: NDArray[np.uint8],
        is_new_shot: bool,
    ) -> None:
        """Look at the faces of the next frame: landmarks [478, 3] px each, and its picture."""
        self._active_tracklets = (
            []
            if is_new_shot
            else [
                o
                for o in self._active_tracklets
                if frame_index - o[0].frames[-1] <= MAX_LOST_FRAMES
            ]
        )
        for face, place in zip(faces, self._match_faces(faces), strict=True):
            if place is None:
                place = len(self._active_tracklets)
                self._active_tracklets.append((Tracklet(), face))
                self._tracklets.append(self._active_tracklets[place][0])
            passage = self._active_tracklets[place][0]
            self._active_tracklets[place] = passage, face
            passage.frames.append(frame_index)
            passage.rows.append(len(self._landmarks))
            self._landmarks.append(face)
            self._patches.append(extract_face_patch(rgb, face))
            if len(passage.frames) % CROP_INTERVAL_FRAMES == 1:
                passage.crops.append((frame_index, *crop_face(rgb, face)))
                if len(passage.crops) > 2 * NUM_DESCRIPTOR_CROPS:
                    del passage.crops[1::2]

    def _match_faces(self, faces: Sequence[FloatArray]) -> list[int | None]:
        """Which of the open passages each face goes on with: the nearest, and near enough."""
        result: list[int | None] = [None] * len(faces)
        if not faces or not self._active_tracklets:
            return result
        distance = np.array(
            [
                [face_center_distance(last, face) for _, last in self._active_tracklets]
                for face in faces
            ]
        )
        for row, column in zip(*linear_sum_assignment(np.minimum(distance, 10.0)), strict=True):
            if distance[row, column] < MAX_FACE_STEP_WIDTHS:
                result[row] = int(column)
        return result

    def take_tracklets(self) -> TrackletSet:
        """All that was seen; the linker has nothing left then."""
        return TrackletSet(
            self._tracklets, self._landmarks.take_array(), self._patches.take_array()
        )


def face_center_distance(first: FloatArray, second: FloatArray) -> float:
    """Of two faces' middles, in widths of the larger."""
    width = max(float(np.ptp(first[:, 0])), float(np.ptp(second[:, 0])), 1e-6)
    return float(np.linalg.norm(first[:, :2].mean(0) - second[:, :2].mean(0))) / width
