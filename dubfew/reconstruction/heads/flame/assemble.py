"""The user's FLAME files -> a HeadModel with all that dubfew needs of one."""

from __future__ import annotations

import dataclasses
import hashlib
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dubfew.assets import Asset, asset_path, find_asset, missing
from dubfew.errors import AssetError
from dubfew.reconstruction.heads.flame.arrays import read_npy
from dubfew.reconstruction.heads.flame.attach import attach
from dubfew.reconstruction.heads.flame.landmarks import Embedding, read_68, read_mediapipe
from dubfew.reconstruction.heads.flame.masks import read_masks
from dubfew.reconstruction.heads.flame.model import PARENTS, VERTICES, FlameFile, read_flame
from dubfew.reconstruction.heads.flame.mouth import Filling, fill_mouth
from dubfew.reconstruction.heads.flame.uv import UNROLLED, CornerLayout, carried_uv, read_layout
from dubfew.reconstruction.heads.head_model import HeadModel, load_head


def load_flame() -> HeadModel:
    """The registered FLAME model.

    Raises:
        AssetError: it, or an embedding of landmarks, is not registered, or is damaged.
    """
    model = find_asset("flame")
    embedding = find_asset("flame-mediapipe") or find_asset("flame-landmarks")
    if model is None:
        raise missing("flame")
    if embedding is None:
        raise missing("flame-mediapipe")
    lids = (asset_path("flame-eyelid-left"), asset_path("flame-eyelid-right"))
    return _assembled(model, embedding, lids)


@lru_cache(maxsize=1)
def _assembled(model: Asset, embedding: Asset, lids: tuple[Path | None, Path | None]) -> HeadModel:
    read = read_mediapipe if embedding.kind == "flame-mediapipe" else read_68
    digest = hashlib.sha256((model.sha256 + embedding.sha256).encode()).hexdigest()[:8]
    left, right = lids
    eyelids = None if left is None or right is None else read_eyelids(left, right)
    name = f"flame-{digest}"
    return flame_head(read_flame(model.path), read(embedding.path), name=name, eyelids=eyelids)


def flame_layout(head: HeadModel) -> CornerLayout | None:
    """FLAME's own texture layout, or None where neither texture nor template is registered.

    Its faces are the first of a FLAME head's, in their order.

    Raises:
        AssetError: a registered file is damaged or belongs to another mesh.
    """
    path = asset_path("flame-texture") or asset_path("flame-template")
    if path is None:
        return None
    own = head.faces if head.mouth_faces is None else head.faces[~head.mouth_faces]
    return read_layout(path, own)


def flame_masks() -> dict[str, NDArray[np.int32]] | None:
    """FLAME's regions of vertices, or None where they are not registered."""
    path = asset_path("flame-masks")
    return None if path is None else read_masks(path)


def read_eyelids(left: Path | str, right: Path | str) -> NDArray[np.float32]:
    """The two eyelid shapes that go with FLAME (``l_eyelid.npy``, ``r_eyelid.npy``). [2, V, 3]

    Raises:
        AssetError: one is something else.
    """
    bases = []
    for path in (left, right):
        basis = read_npy(path)
        if not isinstance(basis, np.ndarray) or basis.shape != (VERTICES, 3):
            raise AssetError(f"{path} is no eyelid of FLAME: expected an array [{VERTICES}, 3]")
        bases.append(basis.astype(np.float32))
    return np.stack(bases)


def flame_head(
    file: FlameFile,
    known: Embedding,
    *,
    name: str = "flame",
    eyelids: NDArray[np.float32] | None = None,  # [2, 5023, 3]
) -> HeadModel:
    """FLAME as dubfew uses it.

    The first 5023 vertices and the first faces are FLAME's own, so are all coefficients. Behind
    them come the 29 vertices of a sheet that closes the mouth. Landmarks are all of MediaPipe's
    468: see `attach`. Texture coordinates are `lite`'s: see `uv`.

    Raises:
        AssetError: the landmarks belong to another mesh, or the head faces another way.
    """
    if known.faces.min() < 0 or known.faces.max() >= len(file.faces):
        raise AssetError("the landmark embedding names faces that this FLAME model has not")
    lite = load_head("lite")
    landmarks = attach(file.template, file.faces, known, lite)
    _check_axes(known.positions(file.template, file.faces), known.ids)
    filling = fill_mouth(landmarks, file.faces, len(file.template))
    more = len(filling.follow)

    def longer(basis: NDArray[np.float32]) -> NDArray[np.float32]:
        """Of FLAME's vertices [B, V, 3], of all. [B, W, 3]"""
        return np.concatenate([basis, _carried(filling, basis)], 1)

    head = HeadModel(
        name=name,
        template=np.concatenate([file.template, filling.follow @ file.template + filling.shift]),
        shape_basis=longer(file.shape_basis),
        expression_basis=longer(file.expression_basis),
        pose_basis=longer(file.pose_basis),
        joint_regressor=np.pad(file.joint_regressor, ((0, 0), (0, more))),
        skin_weights=np.concatenate([file.skin_weights, filling.follow @ file.skin_weights]),
        parents=np.array(PARENTS, np.int32),
        faces=np.concatenate([file.faces, filling.faces]),
        uv=np.zeros((len(file.template) + more, 2), np.float32),
        landmark_ids=landmarks.ids,
        landmark_faces=landmarks.faces,
        landmark_barycentric=landmarks.barycentric,
        # FLAME's expressions are principal components of whole faces: all move the mouth.
        mouth_expressions=len(file.expression_basis),
        eyelid_basis=None if eyelids is None else longer(eyelids),
        mouth_faces=np.arange(len(file.faces) + len(filling.faces)) >= len(file.faces),
        expression_moves_joints=True,
    )
    still = np.zeros((1, len(head.expression_basis)), np.float32)
    jaw = np.array([[UNROLLED, 0, 0]], np.float32)
    opened = head.vertices(np.zeros(len(head.shape_basis)), still, jaw)[0].astype(np.float64)
    uv = carried_uv(opened, landmarks.positions(opened, head.faces), lite)
    return dataclasses.replace(head, uv=uv)


def _carried(filling: Filling, basis: NDArray[np.float32]) -> NDArray[np.float32]:
    used = np.nonzero(filling.follow.any(0))[0]
    return np.tensordot(basis[:, used], filling.follow[:, used], (1, 1)).transpose(0, 2, 1)


def _check_axes(points: NDArray, ids: NDArray) -> None:
    """FLAME's axes are head space's; whoever has turned the file gets an error, not a wreck."""
    place = {int(i): points[row] for row, i in enumerate(ids)}
    if not (
        place[263][0] > place[33][0]  # the subject's left eye has the larger x
        and place[33][1] > place[0][1]  # eyes above the mouth
        and place[4][2] > place[33][2]  # the nose's tip before the eyes
    ):
        raise AssetError(
            "the FLAME model and its landmarks do not show a face with y up that looks along z: "
            "one of the files belongs to another model"
        )
