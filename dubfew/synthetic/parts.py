"""Meshes that a body is made of, and how each of their vertices follows the moving face."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix, vstack

from dubfew.reconstruction.shading_model import srgb_to_linear

# Vertices of the head model that are MediaPipe's landmarks: the face. Those behind them (mouth
# filling, neck) are replaced here by better ones.
NUM_FACE_VERTICES = 468

# Size of the texture atlas, px, and where each material lies in it: left, top, width, height. The
# face gets the most texels: about three for each px of a clip of 512 px.
ATLAS_HEIGHT, ATLAS_WIDTH = 1024, 1536
FACE_TILE = (0, 0, 1024, 1024)
HAIR_TILE = (1024, 0, 512, 512)
EYE_TILE = (1024, 512, 256, 256)
CLOTH_TILE = (1280, 512, 256, 512)
SKIN_TILE = (1024, 768, 256, 192)
MOUTH_TILE = (1024, 960, 256, 64)

AtlasTile = tuple[int, int, int, int]
RgbColor = tuple[float, float, float]


def atlas_pixels_from_uv(tile: AtlasTile, uv: NDArray) -> NDArray[np.float32]:
    """Convert coordinates within a tile to places in the atlas.

    Args:
        tile: one of the tiles of this module.
        uv: coordinates in [0, 1], origin at the tile's top left; others are moved to its border.
            [V, 2]

    Returns:
        Places in px, half a texel off the tile's border, so that lookups stay inside. [V, 2]

    Example:
        >>> atlas_pixels_from_uv(MOUTH_TILE, np.array([[0.0, 0.5]])).tolist()
        [[1024.5, 992.0]]
    """
    left, top, width, height = tile
    inside = np.clip(uv, 0, 1) * (np.array([width, height]) - 1.0) + 0.5
    return (inside + np.array([left, top])).astype(np.float32)


@dataclass(frozen=True)
class MeshPart:
    """One mesh of V vertices.

    A vertex lies at ``face_weights @ face + rest_offset``. Where ``jaw_weight`` is 1 it is then
    turned with the jaw, and at last it is moved by the poses of head and body.

    Attributes:
        face_weights: linear map of the live face's vertices. [V, 468]
        rest_offset: constant part of the position, head space, m. [V, 3]
        jaw_weight: 1 where the vertex turns rigidly with the jaw, else 0. [V]
        body_weight: 0 moves with the head, 1 with the body, between them in part. [V]
        uv: place in the atlas, px. [V, 2]
        tint: factor on the texture's color, linear light. [V, 3]
        gloss: factor on the texture's gloss. [V]
        faces: corner indices. [F, 3]
    """

    face_weights: csr_matrix
    rest_offset: NDArray[np.float32]
    jaw_weight: NDArray[np.float32]
    body_weight: NDArray[np.float32]
    uv: NDArray[np.float32]
    tint: NDArray[np.float32]
    gloss: NDArray[np.float32]
    faces: NDArray[np.int32]


def make_part(
    faces: NDArray,
    uv: NDArray,
    *,
    rest_offset: NDArray | None = None,
    face_weights: csr_matrix | None = None,
    jaw_weight: float = 0.0,
    body_weight: NDArray | float = 0.0,
    tint: NDArray | RgbColor = (1.0, 1.0, 1.0),
    gloss: NDArray | float = 1.0,
) -> MeshPart:
    """Make a mesh, spreading constants over its vertices.

    Args:
        faces: corner indices. [F, 3]
        uv: place of every vertex in the atlas, px. [V, 2]
        rest_offset: constant part of the positions, m; zero by default. [V, 3]
        face_weights: linear map of the live face; by default the mesh does not follow it. [V, 468]
        jaw_weight: 1 for a mesh that turns with the jaw.
        body_weight: 0 for the head, 1 for the body, or one value per vertex. [V]
        tint: factor on the texture's color, or one per vertex. [V, 3]
        gloss: factor on the texture's gloss, or one per vertex. [V]
    """
    count = len(uv)
    return MeshPart(
        face_weights=csr_matrix((count, NUM_FACE_VERTICES))
        if face_weights is None
        else face_weights.tocsr(),
        rest_offset=np.zeros((count, 3), np.float32)
        if rest_offset is None
        else rest_offset.astype(np.float32),
        jaw_weight=np.full(count, jaw_weight, np.float32),
        body_weight=np.broadcast_to(np.asarray(body_weight, np.float32), (count,)).copy(),
        uv=uv.astype(np.float32),
        tint=np.broadcast_to(np.asarray(tint, np.float32), (count, 3)).copy(),
        gloss=np.broadcast_to(np.asarray(gloss, np.float32), (count,)).copy(),
        faces=faces.astype(np.int32),
    )


def join_parts(parts: list[MeshPart]) -> MeshPart:
    """Join meshes to one; vertices and faces keep their order, mesh after mesh."""
    offsets = np.cumsum([0, *(len(part.rest_offset) for part in parts[:-1])])
    return MeshPart(
        face_weights=vstack([part.face_weights for part in parts]).tocsr(),
        rest_offset=np.concatenate([part.rest_offset for part in parts]),
        jaw_weight=np.concatenate([part.jaw_weight for part in parts]),
        body_weight=np.concatenate([part.body_weight for part in parts]),
        uv=np.concatenate([part.uv for part in parts]),
        tint=np.concatenate([part.tint for part in parts]),
        gloss=np.concatenate([part.gloss for part in parts]),
        faces=np.concatenate(
            [part.faces + offset for part, offset in zip(parts, offsets, strict=True)]
        ).astype(np.int32),
    )


def grid_faces(rows: int, columns: int, *, closed: bool = False, flip: bool = False) -> NDArray:
    """Triangulate a grid of vertices that are numbered row by row.

    Args:
        rows: number of rows.
        columns: number of columns.
        closed: join the last column to the first, as around a tube.
        flip: turn all triangles over. Without it they run counter-clockwise where columns run to
            the right and rows downwards: they face the viewer.

    Returns:
        Two triangles per square. [F, 3]

    Example:
        >>> grid_faces(2, 2).tolist()
        [[0, 2, 3], [0, 3, 1]]
    """
    r, c = np.meshgrid(
        np.arange(rows - 1), np.arange(columns if closed else columns - 1), indexing="ij"
    )
    right = (c + 1) % columns
    a, b = r * columns + c, r * columns + right
    down, across = (r + 1) * columns + c, (r + 1) * columns + right
    faces = np.stack(
        [np.stack([a, down, across], -1), np.stack([a, across, b], -1)], axis=2
    ).reshape(-1, 3)
    return faces[:, ::-1] if flip else faces


def grid_uv(rows: int, columns: int) -> NDArray:
    """Make coordinates from 0 to 1 for a grid of vertices that are numbered row by row.

    Args:
        rows: number of rows.
        columns: number of columns.

    Returns:
        u along columns, v along rows. [rows * columns, 2]
    """
    v, u = np.meshgrid(np.linspace(0, 1, rows), np.linspace(0, 1, columns), indexing="ij")
    return np.stack([u.ravel(), v.ravel()], 1)


def linear_color(*channels: float) -> NDArray[np.float64]:
    """Convert sRGB values in [0, 1] to linear light, for colors that are picked by eye.

    Example:
        >>> linear_color(0.5, 1.0).round(3).tolist()
        [0.214, 1.0]
    """
    return srgb_to_linear(np.asarray(channels, np.float64))
