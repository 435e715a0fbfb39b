"""Interface of all segmenters: an image and a face's landmarks in, part probabilities out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:  # so that names of segmenters can be listed without importing numpy
    import numpy as np
    from numpy.typing import NDArray

    from dubfew.utils.arrays import FloatArray


@dataclass(frozen=True)
class FaceSegmentation:
    """Part probabilities of the pixels of an image.

    Attributes:
        parts: probability maps by part name. Every segmenter gives "background". Segmenters with
            face parts add "skin", "mouth", "neck", "hair" and "worn" (clothes, hats, glasses);
            others add "person". All maps add up to 1. [H, W] each
    """

    parts: Mapping[str, FloatArray]

    @property
    def background(self) -> FloatArray:
        """Probability that a pixel does not belong to the person. [H, W]"""
        return self.parts["background"]

    @property
    def occluder_probability(self) -> FloatArray:
        """Probability that something hides the face, where a face should be. [H, W]

        Hair does not count, because beards are hair as well. The neck does not count, because it
        continues below the chin.
        """
        return self.parts["background"] + self.parts.get("worn", 0)


class Segmenter(Protocol):
    """Instance of an entry of ``SEGMENTERS``.

    Attributes:
        name: name of the entry.
        has_face_parts: True if it separates the parts of a face from objects in front of them.
    """

    name: str
    has_face_parts: bool

    def __call__(
        self, rgb: NDArray[np.uint8], landmarks: FloatArray | None = None
    ) -> FaceSegmentation:
        """Segment an image that shows one face.

        Args:
            rgb: image. [H, W, 3]
            landmarks: the face's landmarks, px; not every segmenter needs them. [478, 3]

        Raises:
            DubfewError: The segmenter needs landmarks and got None.
        """
        ...

    def close(self) -> None:
        """Release the network."""
        ...
