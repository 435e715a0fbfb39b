"""MouthMotion: what a mouth does, independent of whose head does it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dubfew.errors import ShapeError

# MediaPipe face-mesh indices, in rings that run from the subject's right mouth corner (left in
# the image) over the upper lip to the other corner and back along the lower lip.
OUTER_LIPS = (
    61, 185, 40, 39, 37, 0, 267, 269, 270, 409, 291, 375, 321, 405, 314, 17, 84, 181, 91, 146,
)  # fmt: skip
INNER_LIPS = (
    78, 191, 80, 81, 82, 13, 312, 311, 310, 415, 308, 324, 318, 402, 317, 14, 87, 178, 88, 95,
)  # fmt: skip
# The jaw line from below one ear over the chin (152) to the other side.
JAW_LINE = (172, 136, 150, 149, 176, 148, 152, 377, 400, 378, 379, 365, 397)
CHIN = (18, 200, 199, 175)
CHEEKS = (205, 425, 187, 411, 214, 434)
MOUTH_POINTS = OUTER_LIPS + INNER_LIPS + JAW_LINE + CHIN + CHEEKS  # P = 63
# Outer eye corners: their distance is the unit of length ("inter-ocular distance").
EYE_CORNERS = (33, 263)


@dataclass(frozen=True)
class MouthMotion:
    """Displacements of the lower face in head space.

    Attributes:
        displacement: of ``MOUTH_POINTS`` from the speaker's closed rest pose, in units of the
            inter-ocular distance (outer eye corners), head axes: x to the image's right when
            the head faces the camera, y up, z towards the camera. [N, P, 3]
        times: moment of each row, s. [N]
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
