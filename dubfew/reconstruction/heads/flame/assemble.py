"""The user's FLAME files -> a HeadModel with all that dubfew needs of one."""

from __future__ import annotations

import dataclasses
import hashlib
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dubfew.assets import Asset, asset_path, find_asset, missing_asset_error
from dubfew.errors import AssetError
from dubfew.reconstruction.heads.flame.arrays import read_npy
from dubfew.reconstruction.heads.flame.attach import attach_landmarks
from dubfew.reconstruction.heads.flame.landmarks import (
    LandmarkEmbedding,
    read_ibug_embedding,
    read_mediapipe_embedding,
)
from dubfew.reconstruction.heads.flame.masks import read_flame_masks
from dubfew.reconstruction.heads.flame.model import (
    JOINT_PARENTS,
    NUM_FLAME_VERTICES,
    FlameModel,
    read_flame_model,
)
from dubfew.reconstruction.heads.flame.mouth import MouthSheet, build_mouth_sheet
from dubfew.reconstruction.heads.flame.uv import (
    UNROLL_JAW_PITCH_RADIANS,
    CornerUvLayout,
    read_uv_layout,
    transfer_uv,
)
from dubfew.reconstruction.heads.head_model import HeadModel, load_head_model


def load_registered_flame() -> HeadModel:
    """Load the FLAME model that the user has registered.

    Raises:
        AssetError: The model or an embedding of landmarks is not registered, or is damaged.
    """
    model = find_asset("flame")
    embedding = find_asset("flame-mediapipe") or find_asset("flame-landmarks")
    if model is None:
        raise missing_asset_error("flame")
    if embedding is None:
        raise missing_asset_error("flame-mediapipe")
    lids = (asset_path("flame-eyelid-left"), asset_path("flame-eyelid-right"))
    return _assemble_head(model, embedding, lids)


@lru_cache(maxsize=1)
def _assemble_head(
    model: Asset, embedding: Asset, eyelid_paths: tuple[Path | None, Path | None]
) -> HeadModel:
    read = read_mediapipe_embedding if embedding.kind == "flame-mediapipe" else read_ibug_embedding
    digest = hashlib.sha256((model.sha256 + embedding.sha256).encode()).hexdigest()[:8]
    left, right = eyelid_paths
    eyelids = None if left is None or right is None else read_eyelid_bases(left, right)
    name = f"flame-{digest}"
    return build_flame_head(
        read_flame_model(model.path), read(embedding.path), name=name, eyelid_basis=eyelids
    )


def load_flame_uv_layout(head: HeadModel) -> CornerUvLayout | None:
    """Load FLAME's own texture layout; None where neither texture nor template is registered.

    The faces of the layout are the first faces of a FLAME head, in the same order.

    Raises:
        AssetError: A registered file is damaged or belongs to another mesh.
    """
    path = asset_path("flame-texture") or asset_path("flame-template")
    if path is None:
        return None
    own = head.faces if head.mouth_faces is None else head.faces[~head.mouth_faces]
    return read_uv_layout(path, own)


def load_flame_masks() -> dict[str, NDArray[np.int32]] | None:
    """Load FLAME's regions of vertices; None where they are not registered.

    Returns:
        Vertex numbers by the name of their region. [n] each
    """
    path = asset_path("flame-masks")
    return None if path is None else read_flame_masks(path)


def read_eyelid_bases(left: Path | str, right: Path | str) -> NDArray[np.float32]:
    """Read the two eyelid shapes that go with FLAME (``l_eyelid.npy``, ``r_eyelid.npy``). [2, V, 3]

    Args:
        left: file of the left eyelid's displacements, [5023, 3] in m.
        right: that of the right one.

    Raises:
        AssetError: A file has another shape.
    """
    bases = []
    for path in (left, right):
        basis = read_npy(path)
        if not isinstance(basis, np.ndarray) or basis.shape != (NUM_FLAME_VERTICES, 3):
            raise AssetError(
                f"{path} is no eyelid of FLAME: expected an array [{NUM_FLAME_VERTICES}, 3]"
            )
        bases.append(basis.astype(np.float32))
    return np.stack(bases)


def build_flame_head(
    model: FlameModel,
    known_landmarks: LandmarkEmbedding,
    *,
    name: str = "flame",
    eyelid_basis: NDArray[np.float32] | None = None,  # [2, 5023, 3]
) -> HeadModel:
    """Build the head model that dubfew uses from FLAME's arrays.

    The first 5023 vertices and the first faces are FLAME's own, and so are all coefficients. Behind
    them come the 29 vertices of a sheet that closes the mouth. Landmarks are all of MediaPipe's
    468: see `attach_landmarks`. Texture coordinates are `lite`'s: see `uv`.

    Args:
        model: arrays of FLAME's file.
        known_landmarks: where landmarks lie on FLAME's mesh, from the user's file.
        name: name of the head model in tracks and actors.
        eyelid_basis: shapes that close the left and the right eye, m; None for a head whose eyes
            stay open. [2, 5023, 3]

    Raises:
        AssetError: the landmarks belong to another mesh, or the head faces another way.
    """
    if known_landmarks.face_ids.min() < 0 or known_landmarks.face_ids.max() >= len(model.faces):
        raise AssetError("the landmark embedding names faces that this FLAME model has not")
    # Landmarks that the user's file lacks come from `lite`, whose places are known.
    lite = load_head_model("lite")
    landmarks = attach_landmarks(model.template, model.faces, known_landmarks, lite)
    _check_axes(known_landmarks.positions(model.template, model.faces), known_landmarks.ids)
    # The sheet's vertices are means of FLAME's, so every array of FLAME is extended by those means.
    filling = build_mouth_sheet(landmarks, model.faces, len(model.template))
    more = len(filling.vertex_weights)

    def extend_basis(basis: NDArray[np.float32]) -> NDArray[np.float32]:
        """Extend a basis of FLAME's vertices [B, V, 3] to all vertices. [B, W, 3]"""
        return np.concatenate([basis, _interpolate_basis(filling, basis)], 1)

    head = HeadModel(
        name=name,
        template=np.concatenate(
            [model.template, filling.vertex_weights @ model.template + filling.vertex_offsets]
        ),
        shape_basis=extend_basis(model.shape_basis),
        expression_basis=extend_basis(model.expression_basis),
        pose_basis=extend_basis(model.pose_basis),
        joint_regressor=np.pad(model.joint_regressor, ((0, 0), (0, more))),
        skin_weights=np.concatenate(
            [model.skin_weights, filling.vertex_weights @ model.skin_weights]
        ),
        parents=np.array(JOINT_PARENTS, np.int32),
        faces=np.concatenate([model.faces, filling.faces]),
        uv=np.zeros((len(model.template) + more, 2), np.float32),
        landmark_ids=landmarks.ids,
        landmark_faces=landmarks.face_ids,
        landmark_barycentric=landmarks.barycentric,
        # FLAME's expressions are principal components of whole faces: all move the mouth.
        mouth_expressions=len(model.expression_basis),
        eyelid_basis=None if eyelid_basis is None else extend_basis(eyelid_basis),
        mouth_faces=np.arange(len(model.faces) + len(filling.faces)) >= len(model.faces),
        expression_moves_joints=True,
    )
    # Texture coordinates are taken over with the jaw open, or upper and lower lip would share a
    # place.
    still = np.zeros((1, len(head.expression_basis)), np.float32)
    jaw = np.array([[UNROLL_JAW_PITCH_RADIANS, 0, 0]], np.float32)
    opened = head.vertices(np.zeros(len(head.shape_basis)), still, jaw)[0].astype(np.float64)
    uv = transfer_uv(opened, landmarks.positions(opened, head.faces), lite)
    return dataclasses.replace(head, uv=uv)


def _interpolate_basis(mouth_sheet: MouthSheet, basis: NDArray[np.float32]) -> NDArray[np.float32]:
    used = np.nonzero(mouth_sheet.vertex_weights.any(0))[0]
    return np.tensordot(basis[:, used], mouth_sheet.vertex_weights[:, used], (1, 1)).transpose(
        0, 2, 1
    )


def _check_axes(points: NDArray, ids: NDArray) -> None:
    """Refuse a file whose axes were turned: FLAME's own axes are those of head space."""
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
