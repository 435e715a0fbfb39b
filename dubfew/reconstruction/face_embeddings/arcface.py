"""ArcFace as refined by MICA, from MICA's licensed file."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dubfew.assets import require_asset
from dubfew.reconstruction.heads.mica.arcface import embed_faces
from dubfew.reconstruction.heads.mica.checkpoint import load_arcface
from dubfew.reconstruction.heads.mica.crop import align_face_chip


class ArcfaceEmbedding:
    """Embed faces by MICA's identity network: a ResNet with a refined last layer, 512 numbers.

    Raises:
        AssetError: MICA's file is not registered, or it is a different file.

    Source: Deng et al. 2019, "ArcFace: Additive Angular Margin Loss for Deep Face Recognition"
    (CVPR), arXiv 1801.07698; Zielonka et al. 2022, "Towards Metrical Reconstruction of Human
    Faces" (ECCV), arXiv 2204.06607.
    """

    name = "arcface"
    # InsightFace's own demonstration calls a cosine of 0.28 and more the same person. The vectors
    # have length 1, so that this is the Euclidean distance at that cosine.
    same_person_distance = (2 - 2 * 0.28) ** 0.5
    # The demonstration calls a cosine below 0.2 different people.
    stranger_distance = (2 - 2 * 0.2) ** 0.5

    def __init__(self) -> None:
        self._network = load_arcface(require_asset("mica"))

    def __call__(
        self, rgb: NDArray[np.uint8], landmarks: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        """Embed the face with these landmarks as a unit vector. [512]"""
        return embed_faces(self._network, align_face_chip(rgb, landmarks)[None])[0]


FACE_EMBEDDING = ArcfaceEmbedding
