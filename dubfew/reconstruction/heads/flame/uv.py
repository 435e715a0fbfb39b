"""Texture coordinates of FLAME: the one that neural textures use, and FLAME's own.

FLAME's own layout fills the square with the whole head and has no texel for the inside of the
mouth; nor would a prior's texture, which every actor's starts from, fit it. So `HeadModel.uv` is
the layout of `lite`, carried over by the landmarks. FLAME's own, in which its albedo model is
painted, has two coordinates for vertices on a seam: it is kept per corner of a face.
"""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import RBFInterpolator
from scipy.ndimage import distance_transform_edt

from dubfew.errors import AssetError
from dubfew.reconstruction.heads.flame.arrays import floats, read_numpy
from dubfew.reconstruction.heads.flame.attach import similar
from dubfew.reconstruction.heads.head_model import HeadModel
from dubfew.reconstruction.rasterizer.raster import rasterise

# The jaw's pitch at which `lite` is unrolled, so that the mouth's inside has texels; rad.
UNROLLED = 0.30
BEHIND = 2.8  # rad from straight ahead: wider triangles than the rest to pi has no FLAME


@dataclass(frozen=True)
class CornerLayout:
    """Texture coordinates per corner of every face.

    Attributes:
        uv: in [0, 1], origin top left. [T, 2]
        faces: rows of ``uv`` for the corners of each of FLAME's own faces, in their order. [F, 3]
    """

    uv: NDArray[np.float32]
    faces: NDArray[np.int32]


def carried_uv(
    vertices: NDArray,  # [V, 3]
    landmarks: NDArray,  # [L, 3]
    lite: HeadModel,
) -> NDArray[np.float32]:  # [V, 2]
    """The layout of ``lite`` on another head whose jaw is open by ``UNROLLED``.

    Args:
        vertices: of the other head, m. [V, 3]
        landmarks: the landmarks of ``lite`` on it, in their order. [L, 3]
        lite: the embedded head.

    Returns:
        Coordinates in [0, 1]; what lies behind the ears falls on the edges. [V, 2]
    """
    still = np.zeros((1, len(lite.expression_basis)), np.float32)
    jaw = np.array([[UNROLLED, 0, 0]], np.float32)
    own = lite.vertices(np.zeros(len(lite.shape_basis)), still, jaw)[0].astype(np.float64)
    goal = lite.landmark_matrix() @ own
    moved = similar(landmarks, goal, vertices)
    rough = similar(landmarks, goal, landmarks)
    moved = moved + RBFInterpolator(rough, goal - rough, kernel="linear")(moved)
    result = np.empty((len(vertices), 2), np.float32)
    for axis, (model, other) in enumerate(zip(_unroll(own).T, _unroll(moved).T, strict=True)):
        slope, start = np.polyfit(model, lite.uv[:, axis], 1)
        result[:, axis] = slope * other + start
    # Both ends of the unrolled head meet behind it. Faces there would lie across all the texture:
    # what is behind the ears goes along the left and right edges to the upper ones' ends.
    back = np.abs(_unroll(moved)[:, 0])
    edge = np.abs(_unroll(own)[:, 0]).max()
    result[:, 1] *= 1 - np.clip((back - edge) / (BEHIND - edge), 0, 1)
    return np.clip(result, 0, 1)


def _unroll(points: NDArray) -> NDArray:
    """Angle around the head and height, as `lite` is unrolled. [V, 2]"""
    return np.stack([np.arctan2(points[:, 0], points[:, 2] + 0.06), -points[:, 1]], 1)


def read_layout(path: Path | str, faces: NDArray) -> CornerLayout:
    """FLAME's own layout from ``FLAME_texture.npz`` (or its kin) or the head template ``.obj``.

    Args:
        path: the file.
        faces: FLAME's own faces, to whose order the layout is brought. [F, 3]

    Raises:
        AssetError: the file is another, or belongs to another mesh.
    """
    if zipfile.is_zipfile(path):
        held = read_numpy(path)
        missing = [name for name in ("vt", "ft") if held.get(name) is None]
        if missing:
            raise AssetError(f"{path} is no FLAME texture: it has no {missing}")
        uv = floats(held["vt"], f"vt of {path}", 2)
        corners = floats(held["ft"], f"ft of {path}", 2).astype(np.int32)
    else:
        uv, vertices, places = read_obj(path)
        corners = _in_order(vertices, places, faces, path)
    if corners.shape != faces.shape or uv.shape[1] != 2:
        raise AssetError(f"{path} has {len(corners)} faces, this FLAME model has {len(faces)}")
    if corners.min() < 0 or corners.max() >= len(uv):
        raise AssetError(f"the faces in {path} name texture coordinates that it has not")
    # Files have the origin at the bottom left.
    return CornerLayout(np.stack([uv[:, 0], 1 - uv[:, 1]], 1), corners)


def places_in(
    layout: CornerLayout, head: HeadModel, size: int
) -> NDArray[np.float32]:  # [size, size, 2]
    """Where each texel of a head's own texture lies in FLAME's layout.

    Args:
        layout: of the head's first faces.
        head: whose ``uv`` the texture is in.
        size: edge of the texture, texels.

    Returns:
        Coordinates in [0, 1], origin top left; a texel that no skin covers has those of the
        nearest that one does. [size, size, 2]
    """
    plane = np.concatenate([head.uv * size, np.ones((len(head.uv), 1), np.float32)], 1)
    raster = rasterise(plane.astype(np.float32), head.faces[: len(layout.faces)], size, size)
    corners = layout.uv[layout.faces[raster.face_id]]
    places = (raster.barycentric[..., None] * corners).sum(2)
    nearest = distance_transform_edt(~raster.covered, return_distances=False, return_indices=True)
    return places[tuple(nearest)].astype(np.float32)


def read_obj(
    path: Path | str,
) -> tuple[NDArray[np.float32], NDArray[np.int32], NDArray[np.int32]]:
    """Texture coordinates [T, 2] of an ``.obj`` of triangles, and its corners' vertices and
    coordinates, counted from 0. [F, 3] each

    Raises:
        AssetError: it is something else.
    """
    try:
        lines = [line.split() for line in Path(path).read_text("latin1").splitlines()]
        uv = np.array([line[1:3] for line in lines if line[:1] == ["vt"]], np.float32)
        corners = np.array(
            [[c.split("/")[:2] for c in line[1:]] for line in lines if line[:1] == ["f"]], np.int32
        )
    except OSError as error:
        raise AssetError(f"{path} cannot be read ({error.strerror})") from error
    except ValueError as error:
        raise AssetError(f"{path} is no .obj of triangles with texture coordinates") from error
    if uv.shape[1:] != (2,) or corners.shape[1:] != (3, 2):
        raise AssetError(f"{path} is no .obj of triangles with texture coordinates")
    return uv, corners[..., 0] - 1, corners[..., 1] - 1


def _in_order(
    vertices: NDArray, places: NDArray, faces: NDArray, path: Path | str
) -> NDArray[np.int32]:
    """The corners' coordinates in the order of a model's own faces. [F, 3]"""
    found = {
        tuple(sorted(corner)): dict(zip(corner, place, strict=True))
        for corner, place in zip(vertices.tolist(), places.tolist(), strict=True)
    }
    rows = []
    for face in faces.tolist():
        known = found.get(tuple(sorted(face)))
        if known is None:
            raise AssetError(f"{path} lacks the face {face} of this FLAME model: another mesh")
        rows.append([known[vertex] for vertex in face])
    return np.array(rows, np.int32)
