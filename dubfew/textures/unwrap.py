"""Unwrap footage into a texture image: the mean color of every texel over the frames."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates

from dubfew.reconstruction.heads.head_model import HeadModel
from dubfew.reconstruction.heads.vertex_normals import sum_face_normals
from dubfew.reconstruction.rasterizer.interpolation import interpolate_attributes
from dubfew.reconstruction.rasterizer.raster import rasterize_mesh

# A view counts for a texel only where the cosine between its surface and the line of sight is
# above this: 0.05 is 87 degrees. Nearer to edge-on one texel is smeared over the face's outline.
MIN_FACING_COSINE = 0.05
# Texels of less weight than this (a sum of cosines over the views) count as unseen.
MIN_TEXEL_WEIGHT = 1e-3
# Width of a head, m: converts depths to pixels. Off by 20 % it tilts normals by a few degrees.
HEAD_WIDTH_M = 0.15


def unwrap_texture(
    head: HeadModel,
    views: Iterable[tuple[NDArray[np.uint8], NDArray[np.float32]]],  # [H, W, 3], [V, 3]
    texture_size: int = 256,
) -> NDArray[np.float32]:  # [size, size, 3]
    """Compute the mean color of every texel over some views, frontal views counting most.

    Args:
        head: faces and texture layout.
        views: images [H, W, 3] and the projected vertices in them, x and y in px, depth in m
            [V, 3].
        texture_size: edge of the texture, texels; 256 as that of neural textures.

    Returns:
        RGB in [0, 1]; texels that no view shows are mid gray. [size, size, 3]
    """
    # Rasterize the mesh in the plane of the texture: it tells the face that each texel lies in.
    plane = np.concatenate(
        [head.uv * texture_size, np.ones((len(head.uv), 1), np.float32)], axis=1
    ).astype(np.float32)
    texels = rasterize_mesh(plane, head.faces, texture_size, texture_size)
    total = np.zeros((texture_size, texture_size, 3), np.float32)
    weight = np.zeros((texture_size, texture_size, 1), np.float32)
    for image, vertices in views:
        # Image position of each texel, and how much its surface faces the camera.
        positions = interpolate_attributes(texels, head.faces, vertices[:, :2])
        facing = interpolate_attributes(
            texels, head.faces, _vertex_facing_weights(vertices, head.faces)[:, None]
        )
        seen = (texels.coverage[..., None] & (facing > MIN_FACING_COSINE)) * facing
        # SciPy has pixel centers at whole numbers, dubfew at +0.5.
        coordinates = [positions[..., 1] - 0.5, positions[..., 0] - 0.5]
        for channel in range(3):
            total[..., channel] += seen[..., 0] * map_coordinates(
                image[..., channel].astype(np.float32), coordinates, order=1, mode="nearest"
            )
        weight += seen
    known = weight > MIN_TEXEL_WEIGHT
    mean = total / np.maximum(weight, MIN_TEXEL_WEIGHT) / 255
    return np.where(known, mean, 0.5).astype(np.float32)


def _vertex_facing_weights(
    vertices: NDArray,  # [V, 3]
    faces: NDArray,  # [F, 3]
) -> NDArray[np.float32]:  # [V]
    """Compute how much the surface at each vertex faces the camera, 0 (edge-on or away) to 1."""
    # Depth is in m while x and y are in px: the head's width in both gives the factor.
    pixels_per_meter = np.ptp(vertices[:, 0]) / HEAD_WIDTH_M
    points = vertices * np.array([1, 1, pixels_per_meter], np.float32)
    normals = sum_face_normals(points, faces)
    # Faces run counter-clockwise seen from outside with y up; on the screen y runs down and z
    # away, so an outward normal that points at the camera has negative z here.
    length = np.linalg.norm(normals, axis=1) + 1e-9
    return np.clip(-normals[:, 2] / length, 0, 1).astype(np.float32)
