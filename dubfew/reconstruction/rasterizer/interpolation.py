"""Vertex attributes at the pixels of a rasterized mesh, compiled by numba.

``torch_gradients.py`` has the differentiable version.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dubfew.errors import ShapeError
from dubfew.reconstruction.rasterizer.base import RasterizedMesh, validate_faces
from dubfew.utils.jit import njit_cached


def interpolate_attributes(
    raster: RasterizedMesh, faces: NDArray, attributes: NDArray
) -> NDArray[np.float32]:
    """Interpolate values of the vertices at every pixel, perspective-correct.

    Args:
        raster: a rasterized mesh. [H, W]
        faces: corner indices of that mesh. [F, 3]
        attributes: C values per vertex. [V, C]

    Returns:
        Interpolated values, zero where no face covers the pixel. [H, W, C]

    Raises:
        ShapeError: Shapes are wrong, a face names a vertex without attributes, or the raster
            shows a face that does not exist.
    """
    if attributes.ndim != 2:
        raise ShapeError(f"attributes have shape {attributes.shape}, expected [V, C]")
    # The kernel does not check bounds, so that all indices are checked before.
    corners = validate_faces(faces, len(attributes))
    if raster.face_id.size and int(raster.face_id.max()) >= len(corners):
        raise ShapeError(
            f"the raster shows face {int(raster.face_id.max())} of a mesh with {len(corners)} "
            "faces: pass the faces that were rasterized"
        )
    values = np.ascontiguousarray(attributes, np.float32)
    out = np.zeros((*raster.face_id.shape, values.shape[1]), np.float32)
    _interpolate_kernel(raster.face_id, raster.barycentric, corners, values, out)
    return out


@njit_cached
def _interpolate_kernel(face_id, barycentric, faces, attributes, out):
    """Fill ``out`` [H, W, C] where a face covers the pixel."""
    height, width = face_id.shape
    channels = attributes.shape[1]
    for row in range(height):
        for column in range(width):
            f = face_id[row, column]
            # Pixels without a face keep the zeros.
            if f < 0:
                continue
            i, j, k = faces[f, 0], faces[f, 1], faces[f, 2]
            a = barycentric[row, column, 0]
            b = barycentric[row, column, 1]
            c = barycentric[row, column, 2]
            for n in range(channels):
                out[row, column, n] = (
                    a * attributes[i, n] + b * attributes[j, n] + c * attributes[k, n]
                )
