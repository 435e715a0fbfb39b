"""dlib's face-recognition network, the one of github.com/ageitgey/face_recognition.

Dubbing papers measure the distance of identities as the mean Euclidean distance of its embeddings.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dubfew.errors import MissingDependencyError
from dubfew.utils.files import sha256_file
from dubfew.utils.import_utils import OPTIONAL_PACKAGES, import_optional

# The weights inside the package face_recognition_models, and their hash: other weights would give
# distances that cannot be compared.
DLIB_WEIGHTS_FILE = "dlib_face_recognition_resnet_model_v1.dat"
DLIB_WEIGHTS_SHA256 = "55533b28a95800a551ba546ba62fe69625c7e95a7061c338adffead08719da30"
# MediaPipe's landmarks at the five points that dlib aligns by: outer and inner corner of the eye
# on the image's right, outer and inner corner of the eye on its left, base of the nose.
DLIB_ALIGNMENT_LANDMARKS = (263, 362, 33, 133, 2)


class DlibEmbedding:
    """Embed faces by dlib's ResNet: 128 numbers. Alignment uses MediaPipe's landmarks.

    Raises:
        MissingDependencyError: dlib or its weights are not installed, or the weights differ from
            the expected ones.
    """

    name = "dlib"
    same_person_distance = 0.6
    # 99 % of the distances between 57 people are larger (benchmarks/likeness.py).
    stranger_distance = 0.68

    def __init__(self) -> None:
        self._dlib = import_optional("dlib")
        self._network = self._dlib.face_recognition_model_v1(str(_find_dlib_weights()))

    def __call__(
        self, rgb: NDArray[np.uint8], landmarks: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        """Embed the face with these landmarks. [128]"""
        dlib = self._dlib
        # dlib has pixel centers at whole numbers, dubfew at +0.5.
        points = np.asarray(landmarks, np.float64)[list(DLIB_ALIGNMENT_LANDMARKS), :2] - 0.5
        corners = dlib.points([dlib.point(round(x), round(y)) for x, y in points])
        face = dlib.full_object_detection(dlib.rectangle(0, 0, 1, 1), corners)
        image = np.ascontiguousarray(rgb)
        return np.array(self._network.compute_face_descriptor(image, face), np.float32)


def _find_dlib_weights() -> Path:
    """Find the weights file without importing the package around it.

    The package imports `pkg_resources`, which recent versions of Python lack.
    """
    package = OPTIONAL_PACKAGES["face_recognition_models"]
    # The specification has the folder without running any code of the package.
    spec = importlib.util.find_spec(package.module)
    if spec is None or not spec.submodule_search_locations:
        raise MissingDependencyError(
            f"{package.distribution} is not installed; it is needed for: {package.purpose}. "
            f"{package.install}"
        )
    path = Path(spec.submodule_search_locations[0]) / "models" / DLIB_WEIGHTS_FILE
    # Other weights would give distances that cannot be compared with published ones.
    if not path.is_file() or sha256_file(path) != DLIB_WEIGHTS_SHA256:
        raise MissingDependencyError(
            f"{path} is not the expected network (SHA-256 {DLIB_WEIGHTS_SHA256[:12]}...). "
            f"{package.install}"
        )
    return path


FACE_EMBEDDING = DlibEmbedding
