"""Faces too small for a search in the whole frame: searched in tiles, and followed in a cutout.

The detector sees a picture of 128 px. A face of 60 px in a frame of 1280 px is six of them, and is
not found; in a tile of a half of the frame's height it is.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dubfew.reconstruction.detection.landmarks import FaceCounter, FaceLandmarker

# Parts of the frame's shorter side that tiles take, the larger ones first, until a face is found:
# 40 px of 720 are found in halves, 25 px in thirds.
TILE_PARTS = (2, 3)
# Faces are found from a 24th of the frame's shorter side on: an eighth of the smallest tile.
SMALLEST_FACE_PART = 24
# Confidence of a face in a tile. Tiles show plants and folds of cloth at the size of faces.
MIN_TILE_CONFIDENCE = 0.75
# Edge of the cutout in which a face is followed, in face widths, and how far the face's center may
# lie from that of the cutout, in cutouts, before it is cut anew.
CUTOUT_FACE_WIDTHS, MAX_CENTER_SHIFT = 4.0, 0.2


class SmallFaceLandmarker:
    """Find and follow one small face. Use as a context manager; feed frames in order."""

    def __init__(self) -> None:
        self._counter = FaceCounter(min_confidence=MIN_TILE_CONFIDENCE)
        self._finder = FaceLandmarker(use_tracking=False)
        self._follower = FaceLandmarker()
        # Left, top and edge of the cutout, px; None while no face is followed.
        self._cutout: tuple[int, int, int] | None = None

    def __enter__(self) -> SmallFaceLandmarker:
        return self

    def __exit__(self, *error: object) -> None:
        for part in (self._counter, self._finder, self._follower):
            part.__exit__(None, None, None)

    @property
    def is_following(self) -> bool:
        """Return True while a face is followed."""
        return self._cutout is not None

    def forget(self) -> None:
        """Follow no face any more, as at a cut."""
        self._cutout = None

    def search(self, rgb: NDArray[np.uint8]) -> NDArray[np.float32] | None:
        """Search a frame [H, W, 3] in tiles, and follow the largest face from here on.

        Returns:
            Its landmarks, px; None without a face. [478, 3]
        """
        height, width = rgb.shape[:2]
        for part in TILE_PARTS:
            edge = min(height, width) // part
            found = []
            for top in _tile_starts(height, edge):
                for left in _tile_starts(width, edge):
                    tile = np.ascontiguousarray(rgb[top : top + edge, left : left + edge])
                    marks = self._finder(tile) if self._counter(tile) else None
                    if marks is not None:
                        found.append(marks + np.array([left, top, 0], np.float32))
            if found:
                face = max(found, key=lambda marks: float(np.ptp(marks[:, 0])))
                self._cut_around(face, height, width)
                return face
        return None

    def follow(self, rgb: NDArray[np.uint8]) -> NDArray[np.float32] | None:
        """Find the face that is followed in the next frame [H, W, 3]; None if it is lost.

        Returns:
            Its landmarks, px. [478, 3]
        """
        assert self._cutout is not None
        height, width = rgb.shape[:2]
        left, top, edge = self._cutout
        marks = self._follower(rgb[top : top + edge, left : left + edge])
        if marks is None:
            self._cutout = None
            return None
        face = np.asarray(marks + np.array([left, top, 0], np.float32))
        shift = np.abs((marks[:, :2].max(0) + marks[:, :2].min(0)) / 2 / edge - 0.5).max()
        if shift > MAX_CENTER_SHIFT:
            self._cut_around(face, height, width)
        return face

    def _cut_around(self, face: NDArray[np.float32], height: int, width: int) -> None:
        """Place the cutout around a face, inside the frame."""
        edge = min(round(CUTOUT_FACE_WIDTHS * float(np.ptp(face[:, 0]))), height, width)
        center = (face[:, :2].max(0) + face[:, :2].min(0)) / 2
        left, top = (
            int(np.clip(round(float(middle) - edge / 2), 0, size - edge))
            for middle, size in zip(center, (width, height), strict=True)
        )
        if self._cutout != (left, top, edge):
            self._cutout = (left, top, edge)
            # Positions of the frame before are those of another cutout.
            self._follower.reset()


def _tile_starts(length: int, edge: int) -> list[int]:
    """List where tiles begin along a side: each overlaps the next by about a half."""
    count = max(1, -(-2 * (length - edge) // edge) + 1)
    return [round(start) for start in np.linspace(0, length - edge, count)]
