"""Quarter turns of frames whose faces lie on their side or upside down.

MediaPipe finds a face on its side, but its lips lie a hundredth of the face's width beside where it
finds them in the upright picture; one upside down it does not find, or finds upright. So frames are
turned until the face of the frame before is upright.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

# Outer corners of the two eyes in MediaPipe's topology; upright, the second lies to the right.
_EYE_CORNERS = (33, 263)
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
        face = max(faces, key=measure_eye_distance)
        first, second = face[list(_EYE_CORNERS), :2]
        roll = np.degrees(np.arctan2(second[1] - first[1], second[0] - first[0]))
        # Clockwise, y points down; what is left after the turn of the frames until now.
        left = (roll - 90 * self.count + 180) % 360 - 180
        if abs(left) < MIN_ROLL_DEGREES:
            return False
        self.count = round(roll / 90) % 4
        return True


def measure_eye_distance(face: NDArray[np.float32]) -> float:
    """Measure the distance of the eyes' outer corners of landmarks [478, 3], px."""
    first, second = face[list(_EYE_CORNERS), :2]
    return float(np.hypot(*(second - first)))
