"""Where on FLAME's surface a detector's landmarks lie: the published embeddings."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dubfew.errors import AssetError
from dubfew.reconstruction.heads.flame.arrays import floats, read_numpy

# MediaPipe's points nearest to iBUG's 18 to 68, in iBUG's order, which is that of FLAME's 51 static
# landmarks; within 7 mm of them on FLAME's mean head, most within 3.
IBUG_51 = (
    156, 63, 105, 66, 107, 336, 296, 334, 293, 383,
    168, 6, 195, 4, 75, 97, 2, 326, 305,
    33, 160, 158, 133, 153, 144, 362, 385, 387, 263, 373, 380,
    61, 39, 37, 0, 267, 269, 291, 405, 314, 17, 84, 181,
    78, 82, 13, 312, 308, 317, 14, 87,
)  # fmt: skip


@dataclass(frozen=True)
class Embedding:
    """Landmarks on a mesh.

    Attributes:
        ids: MediaPipe's indices. [L]
        faces: face that carries each. [L]
        barycentric: where in that face. [L, 3]
    """

    ids: NDArray[np.int32]
    faces: NDArray[np.int32]
    barycentric: NDArray[np.float32]

    def positions(self, vertices: NDArray, faces: NDArray) -> NDArray:
        """The landmarks of a mesh [V, 3] with these faces [F, 3]. [L, 3]"""
        return np.einsum("lk,lkd->ld", self.barycentric, vertices[faces[self.faces]])


def read_mediapipe(path: Path | str) -> Embedding:
    """``mediapipe_landmark_embedding.npz``: 105 points of MediaPipe's mesh.

    Raises:
        AssetError: the file is another.
    """
    held = read_numpy(path)
    ids = held.get("landmark_indices")
    return _embedding(held, "lmk_face_idx", "lmk_b_coords", ids, path)


def read_68(path: Path | str) -> Embedding:
    """``landmark_embedding.npy``: the 51 of its 68 points that do not slide along the jaw line.

    Raises:
        AssetError: the file is another.
    """
    held = read_numpy(path)
    names = ("static_lmk_faces_idx", "static_lmk_bary_coords")
    return _embedding(held, *names, np.array(IBUG_51), path)


def _embedding(
    held: dict[str, Any], faces_name: str, weights_name: str, ids: Any, path: Path | str
) -> Embedding:
    missing = [name for name in (faces_name, weights_name) if held.get(name) is None]
    if missing or not isinstance(ids, np.ndarray):
        raise AssetError(f"{path} is another landmark embedding: it has no {missing}")
    weights = floats(held[weights_name], f"{weights_name} of {path}", 2)
    faces = floats(held[faces_name], f"{faces_name} of {path}", 1).astype(np.int32)
    if weights.shape != (len(ids), 3) or len(faces) != len(ids) or ids.ndim != 1:
        raise AssetError(f"the landmarks in {path} do not fit together: fetch the file again")
    # Some published barycentrics are off by rounding.
    weights = weights / weights.sum(1, keepdims=True)
    return Embedding(ids.astype(np.int32), faces, weights.astype(np.float32))
