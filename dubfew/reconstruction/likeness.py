"""Likeness of two faces, and what follows from it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

import numpy as np
from numpy.typing import NDArray

from dubfew.reconstruction.detection.face_descriptors import (
    MEAN_DESCRIPTOR_FACTOR,
    FaceDescriptor,
    compute_mean_descriptor,
)
from dubfew.utils.arrays import FloatArray

# Face crops [H, W, 3] with their landmarks in the crop, px [478, 2 or 3].
FacePictures = Sequence[tuple[NDArray[np.uint8], FloatArray]]

# Likeness below which two faces belong to different people, percent. All descriptors are brought
# to this scale: equal images have 100 %, and the distance from which people differ has 50 %.
STRANGER_PERCENT = 50
# Distance of one picture from a mean over several, over that of two single pictures. It lies
# between that of two means (MEAN_DESCRIPTOR_FACTOR) and 1.
ONE_PICTURE_FACTOR = 0.9


class Verdict(Enum):
    """Whether two faces belong to one person."""

    SAME = "same"
    UNCLEAR = "unclear"
    STRANGER = "stranger"


@dataclass(frozen=True)
class Likeness:
    """Likeness of two faces.

    Attributes:
        distance: distance of their descriptors, in units of the distance from which two faces
            belong to different people. Infinite where there is no picture.
        same_person_distance: distance up to which they are taken for one person, in that unit.
    """

    distance: float
    same_person_distance: float

    @property
    def verdict(self) -> Verdict:
        """Whether the faces belong to one person."""
        if self.distance >= 1:
            return Verdict.STRANGER
        return Verdict.SAME if self.distance <= self.same_person_distance else Verdict.UNCLEAR

    @property
    def percent(self) -> int:
        """The likeness on a scale for people, 0 to 100."""
        return _to_percent(self.distance)

    def __str__(self) -> str:
        return (
            f"likeness {self.percent} %, sure from {_to_percent(self.same_person_distance)} %, "
            f"somebody else below {STRANGER_PERCENT} %"
        )


def measure_likeness(
    faces: FacePictures, vector: FloatArray, descriptor: FaceDescriptor
) -> Likeness:
    """Compare some pictures of one person with the mean vector of another.

    Args:
        faces: crops of one person and the landmarks in them; may be empty.
        vector: mean vector of the other person. [D]
        descriptor: the descriptor that made the vector.
    """
    same = descriptor.same_person_distance / descriptor.stranger_distance
    if not faces:
        return Likeness(np.inf, same)
    distance = float(np.linalg.norm(compute_mean_descriptor(faces, descriptor) - vector))
    factor = MEAN_DESCRIPTOR_FACTOR if len(faces) > 1 else ONE_PICTURE_FACTOR
    return Likeness(distance / (descriptor.stranger_distance * factor), same)


def _to_percent(distance: float) -> int:
    """Bring a distance, in units of the distance between strangers, to a scale of percent."""
    # Rounded down, so that no stranger has the percentage at which one is refused.
    return int(100 - (100 - STRANGER_PERCENT) * min(distance, 2.0) - 1e-9) if distance else 100
