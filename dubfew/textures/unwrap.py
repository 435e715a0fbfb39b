"""Footage -> texture image: every texel looks up where it was seen."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates

from dubfew.reconstruction.heads.head_model import HeadModel
from dubfew.reconstruction.heads.vertex_normals import sum_face_normals
from dubfew.reconstruction.rasterizer.interpolation import interpolate_attributes
from dubfew.reconstruction.rasterizer.raster import rasterize_mesh


def unwrap_texture(
    head: HeadModel,
    views: Iterable[tuple[NDArray[np.uint8], NDArray[np.float32]]],
    texture_size: int = 256,
) -> NDArray[np.float32]:
    """Mean colour of every texel over some views.

    Args:
        head: gives faces and texture layout.
        views: images [H, W, 3] and the projected vertices in them [V, 3] (px).
        texture_size: edge of the texture.

    Returns:
        RGB in [0, 1]; texels that no view shows are mid grey. [size, size, 3]
    """
    plane = np.concatenate(
        [head.uv * texture_size, np.ones((len(head.uv), 1), np.float32)], axis=1
    ).astype(np.float32)
    texels = rasterize_mesh(plane, head.faces, texture_size, texture_size)
    total = np.zeros((texture_size, texture_size, 3), np.float32)
    weight = np.zeros((texture_size, texture_size, 1), np.float32)
    for image, vertices in views:
        place = interpolate_attributes(texels, head.faces, vertices[:, :2])
        facing = interpolate_attributes(
            texels, head.faces, _vertex_facing_weights(vertices, head.faces)[:, None]
        )
        seen = (texels.coverage[..., None] & (facing > 0.05)) * facing
        where = [place[..., 1] - 0.5, place[..., 0] - 0.5]
        for channel in range(3):
            total[..., channel] += seen[..., 0] * map_coordinates(
                image[..., channel].astype(np.float32), where, order=1, mode="nearest"
            )
        weight += seen
    known = weight > 1e-3
    return np.where(known, total / np.maximum(weight, 1e-3) / 255, 0.5).astype(np.float32)


def _vertex_facing_weights(vertices: NDArray, faces: NDArray) -> NDArray[np.float32]:
    """How much each vertex' surface faces the camera, 0 (edge-on or away) to 1. [V]"""
    # Depth is in m while x and y are px: scale it to px by the size of the head in both.
    spread = np.ptp(vertices[:, 0]) / 0.15
    points = vertices * np.array([1, 1, spread], np.float32)
    summed = sum_face_normals(points, faces)
    # Faces run counter-clockwise seen from outside with y up; on the screen y runs down and z
    # away, so an outward normal that points at the camera has negative z here.
    length = np.linalg.norm(summed, axis=1) + 1e-9
    return np.clip(-summed[:, 2] / length, 0, 1).astype(np.float32)
