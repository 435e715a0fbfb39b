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
from dubfew.reconstruction.heads.flame.arrays import read_named_arrays, to_float_array
from dubfew.reconstruction.heads.flame.attach import align_by_similarity
from dubfew.reconstruction.heads.head_model import HeadModel
from dubfew.reconstruction.rasterizer.raster import rasterize_mesh

# The jaw's pitch at which `lite` is unrolled, so that the mouth's inside has texels; rad.
UNROLL_JAW_PITCH_RADIANS = 0.30
BACK_OF_HEAD_ANGLE_RADIANS = (
    2.8  # rad from straight ahead: wider triangles than the rest to pi has no FLAME
)


@dataclass(frozen=True)
class CornerUvLayout:
    """Texture coordinates per corner of every face.

    Attributes:
        uv: in [0, 1], origin top left. [T, 2]
        uv_faces: rows of ``uv`` for the corners of each of FLAME's own faces, in their order. [F,
            3]
    """

    uv: NDArray[np.float32]
    uv_faces: NDArray[np.int32]


def transfer_uv(
    vertices: NDArray,  # [V, 3]
    landmarks: NDArray,  # [L, 3]
    lite_head: HeadModel,
) -> NDArray[np.float32]:  # [V, 2]
    """Transfer the layout of ``lite_head`` to a head whose jaw is open.

    The jaw is open by ``UNROLL_JAW_PITCH_RADIANS``.

    Args:
        vertices: of the other head, m. [V, 3]
        landmarks: the landmarks of ``lite_head`` on it, in their order. [L, 3]
        lite_head: the embedded head.

    Returns:
        Coordinates in [0, 1]; what lies behind the ears falls on the edges. [V, 2]
    """
    # Both heads with the jaw open: closed lips touch, and a bend of space could not part them.
    still = np.zeros((1, len(lite_head.expression_basis)), np.float32)
    jaw = np.array([[UNROLL_JAW_PITCH_RADIANS, 0, 0]], np.float32)
    own = lite_head.vertices(np.zeros(len(lite_head.shape_basis)), still, jaw)[0].astype(np.float64)
    goal = lite_head.landmark_matrix() @ own
    # Bring the other head onto `lite`: by scale, turn and shift, then bent so that landmarks meet.
    moved = align_by_similarity(landmarks, goal, vertices)
    rough = align_by_similarity(landmarks, goal, landmarks)
    moved = moved + RBFInterpolator(rough, goal - rough, kernel="linear")(moved)
    # `lite` is unrolled as a cylinder. A line per axis turns angle and height into its coordinates.
    result = np.empty((len(vertices), 2), np.float32)
    for axis, (model, other) in enumerate(
        zip(_cylindrical_coordinates(own).T, _cylindrical_coordinates(moved).T, strict=True)
    ):
        slope, start = np.polyfit(model, lite_head.uv[:, axis], 1)
        result[:, axis] = slope * other + start
    # Both ends of the unrolled head meet behind it. Faces there would lie across all the texture:
    # what is behind the ears goes along the left and right edges to the upper ones' ends.
    back = np.abs(_cylindrical_coordinates(moved)[:, 0])
    edge = np.abs(_cylindrical_coordinates(own)[:, 0]).max()
    result[:, 1] *= 1 - np.clip((back - edge) / (BACK_OF_HEAD_ANGLE_RADIANS - edge), 0, 1)
    return np.clip(result, 0, 1)


def _cylindrical_coordinates(points: NDArray) -> NDArray:
    """Compute the angle around the head and the height, as `lite` is unrolled. [V, 2]"""
    return np.stack([np.arctan2(points[:, 0], points[:, 2] + 0.06), -points[:, 1]], 1)


def read_uv_layout(path: Path | str, faces: NDArray) -> CornerUvLayout:
    """Read FLAME's own layout from a texture such as ``FLAME_texture.npz``, or from the ``.obj``.

    Args:
        path: the file.
        faces: FLAME's own faces, to whose order the layout is brought. [F, 3]

    Raises:
        AssetError: The file has other content, or belongs to another mesh.
    """
    if zipfile.is_zipfile(path):
        held = read_named_arrays(path)
        missing = [name for name in ("vt", "ft") if held.get(name) is None]
        if missing:
            raise AssetError(f"{path} is no FLAME texture: it has no {missing}")
        uv = to_float_array(held["vt"], f"vt of {path}", 2)
        corners = to_float_array(held["ft"], f"ft of {path}", 2).astype(np.int32)
    else:
        uv, vertices, places = read_obj_uv(path)
        corners = _match_face_order(vertices, places, faces, path)
    if corners.shape != faces.shape or uv.shape[1] != 2:
        raise AssetError(f"{path} has {len(corners)} faces, this FLAME model has {len(faces)}")
    if corners.min() < 0 or corners.max() >= len(uv):
        raise AssetError(f"the faces in {path} name texture coordinates that it has not")
    # Files have the origin at the bottom left.
    return CornerUvLayout(np.stack([uv[:, 0], 1 - uv[:, 1]], 1), corners)


def map_texels_to_layout(
    layout: CornerUvLayout, head: HeadModel, texture_size: int
) -> NDArray[np.float32]:  # [size, size, 2]
    """Map each texel of a head's own texture to FLAME's layout.

    Args:
        layout: layout of the head's first faces.
        head: head model; the texture uses its ``uv``.
        texture_size: edge of the texture, texels.

    Returns:
        Coordinates in [0, 1], origin top left; a texel that no skin covers has those of the
        nearest that one does. [size, size, 2]
    """
    plane = np.concatenate([head.uv * texture_size, np.ones((len(head.uv), 1), np.float32)], 1)
    raster = rasterize_mesh(
        plane.astype(np.float32), head.faces[: len(layout.uv_faces)], texture_size, texture_size
    )
    corners = layout.uv[layout.uv_faces[raster.face_id]]
    places = (raster.barycentric[..., None] * corners).sum(2)
    nearest = distance_transform_edt(~raster.coverage, return_distances=False, return_indices=True)
    return places[tuple(nearest)].astype(np.float32)


def read_obj_uv(
    path: Path | str,
) -> tuple[NDArray[np.float32], NDArray[np.int32], NDArray[np.int32]]:
    """Read texture coordinates [T, 2] of an ``.obj`` of triangles, and its corners.

    Corners are vertices and coordinates, counted from 0. [F, 3] each

    Raises:
        AssetError: The file has another format.
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


def _match_face_order(
    corner_vertices: NDArray, corner_uv: NDArray, faces: NDArray, path: Path | str
) -> NDArray[np.int32]:
    """Bring the corners' coordinates into the order of a model's own faces. [F, 3]"""
    found = {
        tuple(sorted(corner)): dict(zip(corner, place, strict=True))
        for corner, place in zip(corner_vertices.tolist(), corner_uv.tolist(), strict=True)
    }
    rows = []
    for face in faces.tolist():
        known = found.get(tuple(sorted(face)))
        if known is None:
            raise AssetError(f"{path} lacks the face {face} of this FLAME model: another mesh")
        rows.append([known[vertex] for vertex in face])
    return np.array(rows, np.int32)
