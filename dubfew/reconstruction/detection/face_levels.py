"""Levels of a dark or pale face, brought to what the detector knows before it looks.

In a grade for night, or a fade, MediaPipe finds the same lips a pixel beside where it finds them in
the ungraded picture. A power on all levels that brings the face back into the usual range removes
most of that. Faces within the range are looked at as they are.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from dubfew.utils.luma import LUMA_BT709

# Median luma of a face, 0 to 1, between which its levels stay as they are. Of 67 clips one is
# darker (0.22), none paler than 0.65.
DARKEST_FACE, PALEST_FACE = 0.28, 0.8
# Levels below which a face is noise, whatever is done to it, and above which it is clipped.
LOWEST_LEVEL, HIGHEST_LEVEL = 0.02, 0.98
# Pixels from one sample of a face to the next: a median needs no more.
SAMPLE_STEP_PX = 4


class FaceLevels:
    """Bring frames to usual levels by the faces of the frame before. Feed it frames in order."""

    def __init__(self) -> None:
        self._power = 1.0

    @property
    def changes(self) -> bool:
        """Return True if frames are changed."""
        return self._power != 1.0

    def reset(self) -> None:
        """Forget the faces, as at a cut."""
        self._power = 1.0

    def apply(self, rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Bring a frame [H, W, 3] to usual levels; the frame itself where it has them."""
        if not self.changes:
            return rgb
        table = 255 * (np.arange(256) / 255) ** self._power
        return np.take((table + 0.5).astype(np.uint8), rgb)

    def update(self, rgb: NDArray[np.uint8], faces: Sequence[NDArray[np.float32]]) -> None:
        """Measure the largest face of a frame; without one everything stays.

        Args:
            rgb: the frame as it was filmed. [H, W, 3]
            faces: landmarks of each face, px. [478, 3] each
        """
        if not faces:
            return
        face = max(faces, key=lambda points: float(np.ptp(points[:, 0])))
        left, top = np.maximum(face[:, :2].min(0).astype(int), 0)
        right, bottom = face[:, :2].max(0).astype(int)
        inside = rgb[top:bottom:SAMPLE_STEP_PX, left:right:SAMPLE_STEP_PX]
        if not inside.size:
            return
        luma = float(np.median(inside.reshape(-1, 3) @ LUMA_BT709)) / 255
        level = min(max(luma, LOWEST_LEVEL), HIGHEST_LEVEL)
        wanted = min(max(level, DARKEST_FACE), PALEST_FACE)
        self._power = float(np.log(wanted) / np.log(level)) if wanted != level else 1.0
