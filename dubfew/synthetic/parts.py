"""Pieces of a body and how they hang on the moving face."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix, vstack

from dubfew.reconstruction.shading_model import srgb_to_linear

NUM_FACE_VERTICES = 468

# Where each material lies in the texture atlas, px: left, top, width, height.
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
    """Coordinates in [0, 1] to atlas px, kept half a texel off the tile's border. [V, 2]"""
    left, top, width, height = tile
    inside = np.clip(uv, 0, 1) * (np.array([width, height]) - 1.0) + 0.5
    return (inside + np.array([left, top])).astype(np.float32)


@dataclass(frozen=True)
class MeshPart:
    """One mesh. A vertex is ``follow @ face + rest``, then turned with the jaw where it hangs
    on the jaw, then moved by head and body poses.

    Attributes:
        face_weights: linear map of the live face's vertices. [V, 468]
        rest_offset: constant share of the position, head space, m. [V, 3]
        jaw_weight: 1 where the vertex turns rigidly with the jaw. [V]
        body_weight: 0 moves with the head, 1 with the body. [V]
        uv: atlas position, px. [V, 2]
        tint: factor on the texture's colour, linear light. [V, 3]
        gloss: factor on the texture's gloss. [V]
        faces: [F, 3]
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
    """A part with constants spread over its vertices."""
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
    """One part out of several, in this order."""
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
    """Triangles of a grid of vertices numbered row by row; ``closed`` joins last column to first.

    Seen with columns to the right and rows downwards they run counter-clockwise, ``flip``
    turns them round. [F, 3]
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
    """u along columns, v along rows, both from 0 to 1. [rows * columns, 2]"""
    v, u = np.meshgrid(np.linspace(0, 1, rows), np.linspace(0, 1, columns), indexing="ij")
    return np.stack([u.ravel(), v.ravel()], 1)


def linear_color(*channels: float) -> NDArray[np.float64]:
    """sRGB values in [0, 1] to linear light."""
    return srgb_to_linear(np.asarray(channels, np.float64))
