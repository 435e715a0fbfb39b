"""MICA's identity network as one of the ways to tell faces apart."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dubfew.assets import require_asset
from dubfew.reconstruction.heads.mica.arcface import embed_faces
from dubfew.reconstruction.heads.mica.checkpoint import load_arcface
from dubfew.reconstruction.heads.mica.crop import align_face_chip


class ArcfaceEmbedding:
    """ArcFace's ResNet, 512 numbers, as a ``FaceEmbedding``. MICA refined its last layer.

    Raises:
        AssetError: MICA's file is not registered, or is not MICA's.
    """

    name = "arcface"
    # InsightFace's own demonstration calls a cosine of 0.28 and more the same person.
    same_person_distance = (2 - 2 * 0.28) ** 0.5

    def __init__(self) -> None:
        self._network = load_arcface(require_asset("mica"))

    def __call__(
        self, rgb: NDArray[np.uint8], landmarks: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        return embed_faces(self._network, align_face_chip(rgb, landmarks)[None])[0]
