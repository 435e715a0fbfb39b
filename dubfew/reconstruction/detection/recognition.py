"""Whose face a picture shows: networks that put pictures of one person near each other.

Source of the measure: dubbing papers' identity distance, the mean Euclidean distance of two
pictures' embeddings in the network of github.com/ageitgey/face_recognition: `dlib` here.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from dubfew.errors import DubfewError, MissingDependencyError
from dubfew.utils.files import sha256_file
from dubfew.utils.import_utils import OPTIONAL_PACKAGES, import_optional

DEFAULT_EMBEDDING = "dlib"
DLIB_WEIGHTS_FILE = "dlib_face_recognition_resnet_model_v1.dat"
DLIB_WEIGHTS_SHA256 = "55533b28a95800a551ba546ba62fe69625c7e95a7061c338adffead08719da30"
# MediaPipe's landmarks at the five points that dlib aligns by: the outer and inner corner of the
# eye on the image's right, of that on its left, and where the nose ends below.
DLIB_ALIGNMENT_LANDMARKS = (263, 362, 33, 133, 2)


class FaceEmbedding(Protocol):
    """What an entry of `FACE_EMBEDDINGS` makes.

    Attributes:
        name: its entry.
        same_person_distance: Euclidean distance below which its authors call two pictures one
            person's.
    """

    name: str
    same_person_distance: float

    def __call__(
        self,
        rgb: NDArray[np.uint8],  # [H, W, 3]
        landmarks: NDArray[np.float32],  # [478, 2 or 3] px
    ) -> NDArray[np.float32]:  # [D]
        """Embedding of the face with these landmarks, to be compared by Euclidean distance."""
        ...


class DlibEmbedding:
    """dlib's ResNet, 128 numbers. Its five or 68 point predictors are not used.

    Raises:
        MissingDependencyError: dlib or its weights are not installed, or are other ones.
    """

    name = "dlib"
    same_person_distance = 0.6

    def __init__(self) -> None:
        self._dlib = import_optional("dlib")
        self._network = self._dlib.face_recognition_model_v1(str(_find_dlib_weights()))

    def __call__(
        self, rgb: NDArray[np.uint8], landmarks: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        dlib = self._dlib
        # dlib's pixel centres are whole numbers, here they are at +0.5.
        points = np.asarray(landmarks, np.float64)[list(DLIB_ALIGNMENT_LANDMARKS), :2] - 0.5
        places = dlib.points([dlib.point(round(x), round(y)) for x, y in points])
        face = dlib.full_object_detection(dlib.rectangle(0, 0, 1, 1), places)
        picture = np.ascontiguousarray(rgb)
        return np.array(self._network.compute_face_descriptor(picture, face), np.float32)


def _find_dlib_weights() -> Path:
    """The network's file. The package around it imports what recent Pythons lack, so it is looked
    for and not imported."""
    part = OPTIONAL_PACKAGES["face_recognition_models"]
    found = importlib.util.find_spec(part.module)
    if found is None or not found.submodule_search_locations:
        raise MissingDependencyError(
            f"{part.distribution} is not installed; it is needed for: {part.purpose}. "
            f"{part.install}"
        )
    path = Path(found.submodule_search_locations[0]) / "models" / DLIB_WEIGHTS_FILE
    if not path.is_file() or sha256_file(path) != DLIB_WEIGHTS_SHA256:
        raise MissingDependencyError(
            f"{path} is not the network that is expected (SHA-256 {DLIB_WEIGHTS_SHA256[:12]}...). "
            f"{part.install}"
        )
    return path


def _load_arcface_embedding() -> FaceEmbedding:
    from dubfew.reconstruction.heads.mica.embedding import ArcfaceEmbedding  # loads torch

    return ArcfaceEmbedding()


FACE_EMBEDDINGS: Mapping[str, Callable[[], FaceEmbedding]] = {
    "arcface": _load_arcface_embedding,
    "dlib": DlibEmbedding,
}


def load_face_embedding(name: str = DEFAULT_EMBEDDING) -> FaceEmbedding:
    """An entry of `FACE_EMBEDDINGS`.

    Raises:
        DubfewError: no such entry.
        MissingDependencyError: what it needs is not installed; the message says how to install it.
        AssetError: a licensed file that it needs is not registered.
    """
    if name not in FACE_EMBEDDINGS:
        raise DubfewError(f"no face embedding {name!r}: there are {', '.join(FACE_EMBEDDINGS)}")
    return FACE_EMBEDDINGS[name]()
