"""Face tracker: the faces of a frame are linked to those of the frames before, by position."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

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

# A face that was lost for at most this long (0.5 s at 25 fps) continues its tracklet if it comes
# back at the same place. After longer gaps appearance decides, because another person may have
# taken that place.
MAX_LOST_FRAMES = 12
# A tracklet keeps a crop for re-identification from every 12th frame. More crops cost time, fewer
# leave short tracklets without one.
CROP_INTERVAL_FRAMES = 12
# Distance of faces, in face widths, above which all matches are equally bad.
MAX_MATCH_DISTANCE_WIDTHS = 10.0


@dataclass
class Tracklet:
    """One face through part of a shot.

    Attributes:
        frames: frame numbers in which it is seen, rising.
        rows: rows of the ``TrackletSet``, one for each frame.
        crops: a few crops for re-identification: frame number, image and landmarks in the image.
    """

    frames: list[int] = field(default_factory=list)
    rows: list[int] = field(default_factory=list)
    crops: list[tuple[int, NDArray[np.uint8], FloatArray]] = field(default_factory=list)

    def select_frames(self, first: int, stop: int) -> Tracklet:
        """Cut out the part of the tracklet in a range of frames.

        Args:
            first: first frame of the range.
            stop: frame after the last one.
        """
        a, b = np.searchsorted(self.frames, [first, stop])
        crops = [crop for crop in self.crops if first <= crop[0] < stop]
        return Tracklet(self.frames[a:b], self.rows[a:b], crops)


@dataclass(frozen=True)
class TrackletSet:
    """All faces of all frames, M in total, as a ``FaceTracker`` found them.

    Attributes:
        tracklets: groups of faces that belong together.
        landmarks: px. [M, 478, 3]
        patches: small images of the faces, see ``extract_face_patch``. [M, 48, 32, 3]
    """

    tracklets: list[Tracklet]
    landmarks: FloatArray
    patches: NDArray[np.uint8]

    def tracklet_landmarks(self, tracklet: Tracklet) -> FloatArray:
        """Select the landmarks of one tracklet, px. [m, 478, 3]"""
        return take_rows(self.landmarks, np.array(tracklet.rows))


class FaceTracker:
    """Link the faces of every frame into tracklets. Feed it frames in order."""

    def __init__(self) -> None:
        self._tracklets: list[Tracklet] = []
        # Tracklets that may go on, each with its last landmarks.
        self._active_tracklets: list[tuple[Tracklet, FloatArray]] = []
        self._landmarks = GrowableArray((NUM_LANDMARKS, 3), np.float32)
        self._patches = GrowableArray((PATCH_HEIGHT_PX, PATCH_WIDTH_PX, 3), np.uint8)

    def update(
        self,
        frame_index: int,
        faces: Sequence[FloatArray],
        rgb: NDArray[np.uint8],
        is_new_shot: bool,
    ) -> None:
        """Add the faces of the next frame.

        Args:
            frame_index: number of the frame.
            faces: landmarks of each face, px. [478, 3] each
            rgb: the frame. [H, W, 3]
            is_new_shot: True if a shot begins with it: all tracklets end.
        """
        # Tracklets end at a cut, and when their face was lost for too long.
        self._active_tracklets = (
            []
            if is_new_shot
            else [
                (tracklet, last_face)
                for tracklet, last_face in self._active_tracklets
                if frame_index - tracklet.frames[-1] <= MAX_LOST_FRAMES
            ]
        )
        for face, place in zip(faces, self._match_faces(faces), strict=True):
            # A face without an active tracklet starts one.
            if place is None:
                place = len(self._active_tracklets)
                self._active_tracklets.append((Tracklet(), face))
                self._tracklets.append(self._active_tracklets[place][0])
            tracklet = self._active_tracklets[place][0]
            self._active_tracklets[place] = tracklet, face
            tracklet.frames.append(frame_index)
            tracklet.rows.append(len(self._landmarks))
            self._landmarks.append(face)
            self._patches.append(extract_face_patch(rgb, face))
            if len(tracklet.frames) % CROP_INTERVAL_FRAMES == 1:
                tracklet.crops.append((frame_index, *crop_face(rgb, face)))
                # Every second crop goes when there are too many: the rest still spans the tracklet.
                if len(tracklet.crops) > 2 * NUM_DESCRIPTOR_CROPS:
                    del tracklet.crops[1::2]

    def _match_faces(self, faces: Sequence[FloatArray]) -> list[int | None]:
        """Assign faces to active tracklets, so that the sum of distances is smallest.

        Returns:
            Index of the active tracklet for each face, None where none is near enough.
        """
        result: list[int | None] = [None] * len(faces)
        if not faces or not self._active_tracklets:
            return result
        # Distances of all pairs. They are limited before the assignment, so that one hopeless pair
        # cannot spoil the others.
        distance = np.array(
            [
                [face_center_distance(last, face) for _, last in self._active_tracklets]
                for face in faces
            ]
        )
        matches = _assign_nearest(np.minimum(distance, MAX_MATCH_DISTANCE_WIDTHS))
        # The assignment pairs as many faces as it can: drop the pairs that are too far apart.
        for row, column in matches:
            if distance[row, column] < MAX_FACE_STEP_WIDTHS:
                result[row] = int(column)
        return result

    def take_tracklets(self) -> TrackletSet:
        """Move all faces out of the tracker, which is empty afterwards."""
        return TrackletSet(
            self._tracklets, self._landmarks.take_array(), self._patches.take_array()
        )


def _assign_nearest(distance: NDArray) -> list[tuple[int, int]]:
    """Pair rows [F] and columns [T] so that the sum of distances [F, T] is smallest."""
    if min(distance.shape) == 1:
        row, column = np.unravel_index(np.argmin(distance), distance.shape)
        return [(int(row), int(column))]
    # Imported here: most clips show one face, and the import takes longer than tracking a second.
    from scipy.optimize import linear_sum_assignment

    rows, columns = linear_sum_assignment(distance)
    return [(int(row), int(column)) for row, column in zip(rows, columns, strict=True)]


def face_center_distance(first: FloatArray, second: FloatArray) -> float:
    """Measure the distance of two faces' centers, in widths of the wider face.

    Args:
        first: landmarks of one face, px. [478, 3]
        second: landmarks of the other face, px. [478, 3]
    """
    width = max(float(np.ptp(first[:, 0])), float(np.ptp(second[:, 0])), 1e-6)
    return float(np.linalg.norm(first[:, :2].mean(0) - second[:, :2].mean(0))) / width
