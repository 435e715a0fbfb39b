"""The part of a frame that a face is followed in: the rest is not converted to RGB."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from dubfew.media import Frame

# Half the edge of the part that is converted, in units of the face's larger side. MediaPipe looks
# at a turned square of 1.5 sides around the face in the frame before, whose corners lie 1.06 sides
# from the middle; the rest is room for what moves.
HALF_SIDE_PER_FACE = 1.3
# Half the edge of what is cut out around the face in the frame itself, in the same units:
# `crop_face` takes 0.75, `extract_face_patch` 0.8.
CUT_HALF_SIDE_PER_FACE = 0.8
# Multiples of px at which a part begins and ends, see `Frame.crop_rgb`.
EDGE_STEP_PX = 16

Box = tuple[int, int, int, int]  # left, top, right, bottom, px


class FaceRegion:
    """RGB of the frames of a clip, all of them or only the surroundings of one face.

    The picture is one array that is written anew for every frame. Beside the part that was asked
    for it shows earlier frames.
    """

    def __init__(self) -> None:
        self._rgb: NDArray[np.uint8] | None = None
        self._box: Box | None = None  # part that shows the last frame; None for all of it

    def read(self, frame: Frame, face: NDArray[np.float32] | None) -> NDArray[np.uint8]:
        """Convert a frame, or only what lies around a face.

        Args:
            frame: the next frame.
            face: landmarks of the face in the frame before, px; None for the whole frame.
                [478, 3]

        Returns:
            RGB, of which only the surroundings of the face count. [H, W, 3]
        """
        if face is None or self._rgb is None or self._rgb.shape[:2] != (frame.height, frame.width):
            return self._read_whole(frame)
        box = _clip_box(_box_around(face, HALF_SIDE_PER_FACE), frame)
        left, top, right, bottom = box
        if right <= left or bottom <= top:
            return self._read_whole(frame)
        self._rgb[top:bottom, left:right] = frame.crop_rgb(*box, fast=True)
        self._box = box
        return self._rgb

    def read_around(self, frame: Frame, faces: Sequence[NDArray[np.float32]]) -> NDArray[np.uint8]:
        """Return the picture of the frame that was read last, with the surroundings of faces.

        Args:
            frame: the frame.
            faces: landmarks of the faces that were found in it, px. [478, 3] each

        Returns:
            RGB, of which only the surroundings of the faces count. [H, W, 3]
        """
        if self._rgb is None or (self._box is not None and not self._shows(frame, faces)):
            return self._read_whole(frame)
        return self._rgb

    def _shows(self, frame: Frame, faces: Sequence[NDArray[np.float32]]) -> bool:
        """Return True if all that is cut out around faces lies in the part that was read."""
        assert self._box is not None
        boxes = [_clip_box(_box_around(face, CUT_HALF_SIDE_PER_FACE), frame) for face in faces]
        return all(
            box[0] >= self._box[0]
            and box[1] >= self._box[1]
            and box[2] <= self._box[2]
            and box[3] <= self._box[3]
            for box in boxes
        )

    def _read_whole(self, frame: Frame) -> NDArray[np.uint8]:
        # Enlarged pictures, of pixels that are not square, cannot be written to.
        self._rgb, self._box = np.require(frame.to_rgb(fast=True), requirements="W"), None
        return self._rgb


def _box_around(face: NDArray[np.float32], half_side: float) -> NDArray[np.float64]:
    """Square around landmarks, px: left, top, right, bottom. [4]"""
    low, high = face[:, :2].min(0), face[:, :2].max(0)
    center, half = (low + high) / 2, float((high - low).max()) * half_side
    return np.array([*(center - half), *(center + half)], np.float64)


def _clip_box(box: NDArray[np.float64], frame: Frame) -> Box:
    """Widen a box to multiples of `EDGE_STEP_PX`, and clip it to a frame."""
    low = np.floor(box[:2] / EDGE_STEP_PX).astype(int) * EDGE_STEP_PX
    high = np.ceil(box[2:] / EDGE_STEP_PX).astype(int) * EDGE_STEP_PX
    (left, top), (right, bottom) = np.maximum(low, 0), np.minimum(high, (frame.width, frame.height))
    return int(left), int(top), int(right), int(bottom)
