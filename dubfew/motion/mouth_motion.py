"""MouthMotion: what a mouth does, independent of whose head does it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dubfew.errors import ShapeError
from dubfew.reconstruction.heads.landmark_indices import MOUTH_POINTS

# Opposite points of the inner lips around their middle (upper, lower), and the mouth corners.
INNER_LIP_PAIRS = ((82, 87), (13, 14), (312, 317))
MOUTH_CORNERS = (61, 291)

_ROW_BY_POINT = {point: row for row, point in enumerate(MOUTH_POINTS)}


def mouth_point_rows(points: tuple[int, ...]) -> NDArray[np.int64]:
    """Rows of ``MOUTH_POINTS`` that hold these face-mesh points. [len(points)]"""
    return np.array([_ROW_BY_POINT[point] for point in points], np.int64)


@dataclass(frozen=True)
class MouthMotion:
    """Displacements of the lower face in head space.

    What the numbers mean, exactly:

    - Row ``p`` belongs to face-mesh point ``MOUTH_POINTS[p]``; the other points of the face
      are said nothing about.
    - Zero is *closed, relaxed lips* of whoever moves: the lips touch, nothing is pressed,
      spread or pursed. It is a pose of that person, not a mean over speech, so silence is zero
      and ``aperture`` is the gap between the lips itself, not its change.
    - Axes are those of head space and turn with the head: x to the image's right when the head
      faces the camera, y up, z towards the camera. An opening mouth has negative y below.
    - The unit is the distance between the outer eye corners of whoever moves (``EYE_CORNERS`` of
      ``reconstruction.points``).
      A head model that shall make this motion adds ``displacement * head.inter_ocular(shape)``
      (m) to its own rest positions of the same points and solves for its coefficients.
    - Identity is not in it: two people who say the same differ here by their manner alone.

    Attributes:
        displacement: of ``MOUTH_POINTS`` from the closed rest pose, inter-ocular distances.
            [N, P, 3]
        times: moment of each row on the sound's clock, s. [N]
    """

    displacement: NDArray[np.float32]
    times: NDArray[np.float64]

    def __post_init__(self) -> None:
        expected = (len(self.times), len(MOUTH_POINTS), 3)
        if self.displacement.shape != expected:
            raise ShapeError(
                f"MouthMotion.displacement has shape {self.displacement.shape}, expected {expected}"
            )

    def __len__(self) -> int:
        return len(self.times)

    def select(self, rows: slice | NDArray) -> MouthMotion:
        """Only these rows (a slice, indices or a boolean mask), in this order."""
        return MouthMotion(self.displacement[rows], self.times[rows])

    def resample(self, times: NDArray[np.float64]) -> MouthMotion:
        """The same motion at other moments, linear between rows, held before and after them.

        Raises:
            ShapeError: there is no row to interpolate.
        """
        if not len(self):
            raise ShapeError("MouthMotion has no rows: nothing to interpolate")
        times = np.asarray(times, np.float64)
        place = np.interp(times, self.times, np.arange(len(self), dtype=np.float64))
        low = np.floor(place).astype(np.int64)
        high = np.minimum(low + 1, len(self) - 1)
        weight = (place - low).astype(np.float32)[:, None, None]
        mixed = self.displacement[low] * (1 - weight) + self.displacement[high] * weight
        return MouthMotion(mixed, times)

    def aperture(self) -> NDArray[np.float32]:
        """Gap between the inner lips at their middle; 0 closed, 0.1 to 0.2 in open vowels. [N]"""
        upper, lower = np.array([mouth_point_rows(pair) for pair in INNER_LIP_PAIRS]).T
        return (self.displacement[:, upper, 1] - self.displacement[:, lower, 1]).mean(axis=1)

    def width_change(self) -> NDArray[np.float32]:
        """How much farther apart the corners are than at rest; negative when rounded. [N]"""
        right, left = mouth_point_rows(MOUTH_CORNERS)
        return self.displacement[:, left, 0] - self.displacement[:, right, 0]
