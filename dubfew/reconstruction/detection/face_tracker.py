"""Face tracker: the faces of a frame are linked to those of the frames before, by their motion."""

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
# Frames before a face was lost that its speed is taken from. More are slow to follow a turn, fewer
# have the detector's noise.
SPEED_FRAMES = 6
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


@dataclass
class _ActiveTracklet:
    """A tracklet that may go on, its last landmarks, and where it was lately.

    Attributes:
        tracklet: the tracklet.
        face: its last landmarks, px. [478, 3]
        centers: middle of the last faces, px. [2] each, `SPEED_FRAMES` at most
    """

    tracklet: Tracklet
    face: FloatArray
    centers: list[FloatArray] = field(default_factory=list)

    def predict_face(self, frame: int) -> FloatArray:
        """Predict the landmarks in a frame, as if the face moved on as it did, px. [478, 3]"""
        frames = self.tracklet.frames[-len(self.centers) :]
        shift = predict_face_shift(np.array(frames), np.array(self.centers), frame)
        return self.face + np.append(shift, 0).astype(np.float32)


class FaceTracker:
    """Link the faces of every frame into tracklets. Feed it frames in order.

    A face is looked for where its motion takes it. So two people who cross keep their tracklets,
    although the one behind is not seen for a while.
    """

    def __init__(self) -> None:
        self._tracklets: list[Tracklet] = []
        self._active_tracklets: list[_ActiveTracklet] = []
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
                active
                for active in self._active_tracklets
                if frame_index - active.tracklet.frames[-1] <= MAX_LOST_FRAMES
            ]
        )
        matches = self._match_faces(frame_index, faces)
        for face, place in zip(faces, matches, strict=True):
            # A face without an active tracklet starts one.
            if place is None:
                place = len(self._active_tracklets)
                self._active_tracklets.append(_ActiveTracklet(Tracklet(), face))
                self._tracklets.append(self._active_tracklets[place].tracklet)
            active = self._active_tracklets[place]
            tracklet, active.face = active.tracklet, face
            active.centers = [*active.centers[1 - SPEED_FRAMES :], face[:, :2].mean(0)]
            tracklet.frames.append(frame_index)
            tracklet.rows.append(len(self._landmarks))
            self._landmarks.append(face)
            self._patches.append(extract_face_patch(rgb, face))
            if len(tracklet.frames) % CROP_INTERVAL_FRAMES == 1:
                tracklet.crops.append((frame_index, *crop_face(rgb, face)))
                # Every second crop goes when there are too many: the rest still spans the tracklet.
                if len(tracklet.crops) > 2 * NUM_DESCRIPTOR_CROPS:
                    del tracklet.crops[1::2]

    def _match_faces(self, frame_index: int, faces: Sequence[FloatArray]) -> list[int | None]:
        """Assign faces to active tracklets, so that the sum of distances is smallest.

        Distances are those to where the tracklets' motion takes them.

        Returns:
            Index of the active tracklet for each face, None where none is near enough.
        """
        result: list[int | None] = [None] * len(faces)
        if not faces or not self._active_tracklets:
            return result
        predicted = [active.predict_face(frame_index) for active in self._active_tracklets]
        # Distances of all pairs. They are limited before the assignment, so that one hopeless pair
        # cannot spoil the others.
        distance = np.array(
            [[face_center_distance(place, face) for place in predicted] for face in faces]
        )
        matches = _assign_nearest(np.minimum(distance, MAX_MATCH_DISTANCE_WIDTHS))
        # The assignment pairs as many faces as it can: drop the pairs that are too far apart. A
        # head may also have stopped where it was.
        for row, column in matches:
            last = self._active_tracklets[column].face
            nearest = min(distance[row, column], face_center_distance(last, faces[row]))
            if nearest < MAX_FACE_STEP_WIDTHS:
                result[row] = int(column)
        return result

    def take_tracklets(self) -> TrackletSet:
        """Move all faces out of the tracker, which is empty afterwards."""
        return TrackletSet(
            self._tracklets, self._landmarks.take_array(), self._patches.take_array()
        )


def predict_face_shift(
    frames: NDArray[np.integer],  # [K]
    centers: NDArray[np.floating],  # [K, 2]
    frame: int,
) -> NDArray[np.float64]:  # [2]
    """Predict how far a face has moved since it was last seen, at its last speed.

    Args:
        frames: the last frames in which it was seen, rising. [K]
        centers: its middle in them, px. [K, 2]
        frame: frame to predict; before the first one, it is predicted backward from there.

    Returns:
        Shift from the last center, or from the first one before it, px. [2]

    Example:
        >>> centers = np.array([[0.0, 0], [2, 0], [4, 0]])
        >>> predict_face_shift(np.array([7, 8, 9]), centers, 14).tolist()
        [10.0, 0.0]
    """
    if len(frames) < 2:
        return np.zeros(2)
    speed = (centers[-1] - centers[0]) / float(frames[-1] - frames[0])
    known = frames[-1] if frame >= frames[-1] else frames[0]
    return np.asarray(speed * float(frame - known))


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
