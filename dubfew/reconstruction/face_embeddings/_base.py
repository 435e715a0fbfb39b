"""Interface of all face embeddings."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray


class FaceEmbedding(Protocol):
    """Instance of an entry of ``FACE_EMBEDDINGS``: it maps a face to a vector.

    Attributes:
        name: name of the entry.
        same_person_distance: Euclidean distance below which the network's authors call two
            images the same person.
        stranger_distance: distance from which two images show different people; between the two
            it is uncertain.
    """

    name: str
    same_person_distance: float
    stranger_distance: float

    def __call__(
        self,
        rgb: NDArray[np.uint8],  # [H, W, 3]
        landmarks: NDArray[np.float32],  # [478, 2 or 3] px
    ) -> NDArray[np.float32]:  # [D]
        """Embed the face with these landmarks.

        Args:
            rgb: image of any size. [H, W, 3]
            landmarks: the face's landmarks in the image, px. [478, 2 or 3]

        Returns:
            A vector that is compared with others by Euclidean distance. [D]
        """
        ...
