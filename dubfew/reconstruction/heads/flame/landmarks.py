"""Where on FLAME's surface a detector's landmarks lie: the published embeddings."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dubfew.errors import AssetError
from dubfew.reconstruction.heads.flame.arrays import read_named_arrays, to_float_array

# MediaPipe's points nearest to iBUG's 18 to 68, in iBUG's order, which is that of FLAME's 51 static
# landmarks; within 7 mm of them on FLAME's mean head, most within 3.
IBUG_51_MEDIAPIPE_IDS = (
    156, 63, 105, 66, 107, 336, 296, 334, 293, 383,
    168, 6, 195, 4, 75, 97, 2, 326, 305,
    33, 160, 158, 133, 153, 144, 362, 385, 387, 263, 373, 380,
    61, 39, 37, 0, 267, 269, 291, 405, 314, 17, 84, 181,
    78, 82, 13, 312, 308, 317, 14, 87,
)  # fmt: skip


@dataclass(frozen=True)
class LandmarkEmbedding:
    """Landmarks on a mesh.

    Attributes:
        ids: MediaPipe's indices. [L]
        face_ids: face that carries each landmark. [L]
        barycentric: place of the landmark in that face. [L, 3]
    """

    ids: NDArray[np.int32]
    face_ids: NDArray[np.int32]
    barycentric: NDArray[np.float32]

    def positions(self, vertices: NDArray, faces: NDArray) -> NDArray:
        """Compute the landmarks of a mesh [V, 3] with faces [F, 3]. [L, 3]

        Args:
            vertices: vertices of the mesh. [V, 3]
            faces: rows of the corners of each triangle. [F, 3]
        """
        return np.einsum("lk,lkd->ld", self.barycentric, vertices[faces[self.face_ids]])


def read_mediapipe_embedding(path: Path | str) -> LandmarkEmbedding:
    """Read 105 points of MediaPipe's mesh from ``mediapipe_landmark_embedding.npz``.

    Raises:
        AssetError: The file has other content.
    """
    held = read_named_arrays(path)
    ids = held.get("landmark_indices")
    return _to_embedding(held, "lmk_face_idx", "lmk_b_coords", ids, path)


def read_ibug_embedding(path: Path | str) -> LandmarkEmbedding:
    """Read ``landmark_embedding.npy``: the 51 points that do not slide along the jaw line.

    Raises:
        AssetError: The file has other content.
    """
    held = read_named_arrays(path)
    names = ("static_lmk_faces_idx", "static_lmk_bary_coords")
    return _to_embedding(held, *names, np.array(IBUG_51_MEDIAPIPE_IDS), path)


def _to_embedding(
    arrays: dict[str, Any], faces_key: str, weights_key: str, ids: Any, path: Path | str
) -> LandmarkEmbedding:
    missing = [name for name in (faces_key, weights_key) if arrays.get(name) is None]
    if missing or not isinstance(ids, np.ndarray):
        raise AssetError(f"{path} is another landmark embedding: it has no {missing}")
    weights = to_float_array(arrays[weights_key], f"{weights_key} of {path}", 2)
    faces = to_float_array(arrays[faces_key], f"{faces_key} of {path}", 1).astype(np.int32)
    if weights.shape != (len(ids), 3) or len(faces) != len(ids) or ids.ndim != 1:
        raise AssetError(f"the landmarks in {path} do not fit together: fetch the file again")
    # Some published barycentrics are off by rounding.
    weights = weights / weights.sum(1, keepdims=True)
    return LandmarkEmbedding(ids.astype(np.int32), faces, weights.astype(np.float32))
