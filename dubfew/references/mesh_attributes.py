"""Attributes of a frame's mesh at the pixels of its window, in one compiled pass."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dubfew.reconstruction.heads.head_model import HeadModel
from dubfew.reconstruction.rasterizer.raster import rasterize_mesh
from dubfew.utils.arrays import FloatArray
from dubfew.utils.jit import njit_cached


@dataclass(frozen=True)
class MeshAttributes:
    """Attributes of a mesh at the pixels of a window of S px, with K references.

    Attributes:
        mask: 1 where the mesh covers the pixel, else 0. [S, S]
        interior: 1 where the opening between the lips shows, else 0; the height in the opening, -1
            at the upper lip to 1 at the lower one, and 0 outside of it. [2, S, S]
        uv: texture coordinates in [0, 1]; 0 beside the mesh. [S, S, 2]
        places: position of each pixel in each reference, -1 to 1; 0 beside the mesh. [K, S, S, 2]
        shown: how far each reference shows the face there, 0 to 1; 1 beside the mesh. [K, S, S]
    """

    mask: FloatArray
    interior: FloatArray
    uv: FloatArray
    places: FloatArray
    shown: FloatArray


def rasterize_attributes(
    head: HeadModel,
    vertices: FloatArray,  # [V, 3]
    size: int,
    places: FloatArray,  # [K, V, 2]
    hidden: FloatArray,  # [K, V]
) -> MeshAttributes:
    """Rasterize a mesh and interpolate the attributes of its vertices, perspective-correct.

    Args:
        head: faces and texture layout.
        vertices: the mesh, x and y in window px, depth in m. [V, 3]
        size: edge of the window, px.
        places: position of each vertex in each reference, -1 to 1. [K, V, 2]
        hidden: how far each reference shows something else than the face there, 0 to 1. [K, V]
    """
    raster = rasterize_mesh(vertices, head.faces, size, size)
    fills_opening, height = head.mouth_filling
    count = len(places)
    attributes = MeshAttributes(
        mask=np.zeros((size, size), np.float32),
        interior=np.zeros((2, size, size), np.float32),
        uv=np.zeros((size, size, 2), np.float32),
        places=np.zeros((count, size, size, 2), np.float32),
        shown=np.ones((count, size, size), np.float32),
    )
    _interpolate_kernel(
        raster.face_id,
        raster.barycentric,
        np.ascontiguousarray(head.faces, np.int32),
        fills_opening,
        height,
        np.ascontiguousarray(head.uv, np.float32),
        np.ascontiguousarray(places, np.float32),
        np.ascontiguousarray(hidden, np.float32),
        attributes.mask,
        attributes.interior,
        attributes.uv,
        attributes.places,
        attributes.shown,
    )
    return attributes


@njit_cached
def _interpolate_kernel(
    face_id,
    barycentric,
    faces,
    fills_opening,
    height,
    uv,
    places,
    hidden,
    mask_out,
    interior_out,
    uv_out,
    places_out,
    shown_out,
):
    """Fill the last five arrays where a face covers the pixel, see `MeshAttributes`."""
    one = np.float32(1)
    for row in range(face_id.shape[0]):
        for column in range(face_id.shape[1]):
            f = face_id[row, column]
            if f < 0:
                continue
            i, j, k = faces[f, 0], faces[f, 1], faces[f, 2]
            a = barycentric[row, column, 0]
            b = barycentric[row, column, 1]
            c = barycentric[row, column, 2]
            mask_out[row, column] = one
            if fills_opening[f]:
                interior_out[0, row, column] = one
                interior_out[1, row, column] = a * height[i] + b * height[j] + c * height[k]
            for n in range(2):
                uv_out[row, column, n] = a * uv[i, n] + b * uv[j, n] + c * uv[k, n]
            for r in range(len(places)):
                for n in range(2):
                    places_out[r, row, column, n] = (
                        a * places[r, i, n] + b * places[r, j, n] + c * places[r, k, n]
                    )
                shown_out[r, row, column] = one - (
                    a * hidden[r, i] + b * hidden[r, j] + c * hidden[r, k]
                )
