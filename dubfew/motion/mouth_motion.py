"""`MouthMotion`: the motion of a mouth, independent of the head that makes it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dubfew.errors import ShapeError
from dubfew.reconstruction.heads.landmark_indices import MOUTH_POINTS
from dubfew.utils.growable_array import map_row_blocks

# Opposite face-mesh points of the inner lips around their middle: (upper, lower). Three pairs
# average the detector's noise.
INNER_LIP_PAIRS = ((82, 87), (13, 14), (312, 317))
# Face-mesh points of the mouth corners: left and right in the image.
MOUTH_CORNERS = (61, 291)

# Row of `MOUTH_POINTS` by face-mesh point.
_ROW_BY_POINT = {point: row for row, point in enumerate(MOUTH_POINTS)}


def mouth_point_rows(points: tuple[int, ...]) -> NDArray[np.int64]:
    """Find the rows of `MOUTH_POINTS` that hold given face-mesh points. [len(points)]

    Example:
        >>> len(mouth_point_rows(MOUTH_CORNERS))
        2
    """
    return np.array([_ROW_BY_POINT[point] for point in points], np.int64)


@dataclass(frozen=True)
class MouthMotion:
    """Displacements of the lower face in head space.

    Exact meaning of the numbers:

    - Row ``p`` belongs to face-mesh point ``MOUTH_POINTS[p]``. Other points of the face are not
      described.
    - Zero is *closed, relaxed lips* of the person who moves: the lips touch, and nothing is
      pressed, spread or pursed. It is a pose of that person, not a mean over speech. So silence is
      zero, and `aperture` is the gap between the lips itself, not its change.
    - Axes are those of head space and turn with the head: x to the image's right when the head
      faces the camera, y up, z towards the camera. An opening mouth has negative y below.
    - The unit is the inter-ocular distance of the person who moves, between the outer eye corners
      (``EYE_CORNERS`` in `dubfew.reconstruction.heads.landmark_indices`). To give this motion to a
      head model, add ``displacement * head.inter_ocular_distance(shape)`` (m) to the head's own
      rest positions of the same points and solve for its coefficients, as `retarget_mouth` does.
    - Identity is not in it: two people who speak the same words differ here by their manner alone.

    Attributes:
        displacement: displacements of `MOUTH_POINTS` from the closed rest pose, inter-ocular
            distances. [N, P, 3]
        times: time of each row on the clock of the sound, s. [N]
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
        """Return the number of rows."""
        return len(self.times)

    def select(self, rows: slice | NDArray) -> MouthMotion:
        """Select rows by a slice, indices or a boolean mask, in this order.

        Args:
            rows: what is kept: a slice, numbers [n] in the new order, or True for each kept row
                [N].
        """
        return MouthMotion(self.displacement[rows], self.times[rows])

    def resample(self, times: NDArray[np.float64]) -> MouthMotion:
        """Interpolate the motion linearly at other times; outside of its rows it is constant.

        Args:
            times: s, in any order. [M]

        Raises:
            ShapeError: The motion has no rows.
        """
        if not len(self):
            raise ShapeError("MouthMotion has no rows: nothing to interpolate")
        times = np.asarray(times, np.float64)
        # Fractional row of each time, then a blend of the rows around it.
        place = np.interp(times, self.times, np.arange(len(self), dtype=np.float64))
        low = np.floor(place).astype(np.int64)
        high = np.minimum(low + 1, len(self) - 1)

        def mix(low: NDArray, high: NDArray, weight: NDArray) -> NDArray[np.float32]:
            before, after = self.displacement[low], self.displacement[high]
            return before * (1 - weight) + after * weight

        weight = (place - low).astype(np.float32)[:, None, None]
        return MouthMotion(map_row_blocks(mix, low, high, weight), times)

    def scale_opening(self, factor: float) -> MouthMotion:
        """Scale how far the lips move up and down; width and protrusion stay.

        Closed lips stay closed, so no consonant is lost.

        Args:
            factor: multiple of the gap between the lips, above 0.
        """
        vertical = np.array([1, factor, 1], np.float32)
        return MouthMotion(self.displacement * vertical, self.times)

    def aperture(self) -> NDArray[np.float32]:
        """Compute the gap between the inner lips; 0 closed, 0.1 to 0.2 in open vowels. [N]"""
        upper, lower = np.array([mouth_point_rows(pair) for pair in INNER_LIP_PAIRS]).T
        return (self.displacement[:, upper, 1] - self.displacement[:, lower, 1]).mean(axis=1)

    def width_change(self) -> NDArray[np.float32]:
        """Compute the mouth's width minus that at rest; negative when rounded. [N]"""
        right, left = mouth_point_rows(MOUTH_CORNERS)
        return self.displacement[:, left, 0] - self.displacement[:, right, 0]
