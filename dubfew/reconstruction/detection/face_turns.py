"""Quarter turns of frames whose faces lie on their side or upside down.

MediaPipe finds a face on its side, but its lips lie a hundredth of the face's width beside where it
finds them in the upright picture; one upside down it does not find, or finds upright. So frames are
turned until the face of the frame before is upright.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from dubfew.reconstruction.heads.landmark_indices import EYE_CORNERS

# Roll from which frames are turned, degrees: well beyond half of a quarter turn, so that heads
# which lean do not make the frames turn to and fro.
MIN_ROLL_DEGREES = 60.0


class FaceTurns:
    """Turn frames upright by the faces of the frame before. Feed it frames in order."""

    def __init__(self) -> None:
        # Quarter turns against the clock that bring a frame upright, 0 to 3. A new shot sets it.
        self.count = 0

    def apply(self, rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Turn a frame [H, W, 3]; the frame itself where it is upright."""
        return np.ascontiguousarray(np.rot90(rgb, self.count)) if self.count else rgb

    def restore(
        self, faces: Sequence[NDArray[np.float32]], shape: tuple[int, ...]
    ) -> list[NDArray[np.float32]]:
        """Bring landmarks in a turned frame to the frame as it was.

        Args:
            faces: landmarks of each face in the turned frame, px. [478, 3] each
            shape: height and width of the frame as it was, px.

        Returns:
            The landmarks in that frame, px. [478, 3] each
        """
        height, width = shape[:2]
        restored = []
        for face in faces:
            points = face.copy()
            across, down = face[:, 0], face[:, 1]
            if self.count == 1:
                points[:, 0], points[:, 1] = width - down, across
            elif self.count == 2:
                points[:, 0], points[:, 1] = width - across, height - down
            elif self.count == 3:
                points[:, 0], points[:, 1] = down, height - across
            restored.append(points)
        return restored

    def update(self, faces: Sequence[NDArray[np.float32]]) -> bool:
        """Measure the roll of a frame's largest face; without one everything stays.

        Args:
            faces: landmarks of each face in the frame as it was, px. [478, 3] each

        Returns:
            True if the frames that follow are turned otherwise.
        """
        if not faces:
            return False
        eyes = [face[list(EYE_CORNERS), :2] for face in faces]
        largest = max(eyes, key=lambda corners: float(np.hypot(*(corners[1] - corners[0]))))
        before, self.count = self.count, count_quarter_turns(largest, self.count)
        return self.count != before


def count_quarter_turns(eye_corners: NDArray[np.float32], before: int = 0) -> int:
    """Count the quarter turns against the clock that bring a face upright.

    Args:
        eye_corners: outer corners of the eyes, `landmark_indices.EYE_CORNERS`, px. [2, 2]
        before: the turns until now, which stay while the head only leans.

    Returns:
        The number of turns, 0 to 3.
    """
    across, down = eye_corners[1] - eye_corners[0]
    # Clockwise, because y points down.
    roll = float(np.degrees(np.arctan2(down, across)))
    left = (roll - 90 * before + 180) % 360 - 180
    return before if abs(left) < MIN_ROLL_DEGREES else round(roll / 90) % 4
