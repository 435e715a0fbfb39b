"""Differentiable barycentrics and attributes for the raster of any backend, in torch.

The face that a pixel shows comes from the raster and is constant. So gradients describe how
attributes slide over the surface, and not how the outline of the mesh moves.
"""

from __future__ import annotations

import torch
from numpy.typing import NDArray
from torch import Tensor

from dubfew.errors import ShapeError
from dubfew.reconstruction.rasterizer.base import RasterizedMesh


def compute_barycentrics(
    vertices: Tensor,  # [V, 3]
    faces: NDArray,  # [F, 3]
    raster: RasterizedMesh,  # [H, W]
    *,
    left: int = 0,
    top: int = 0,
) -> Tensor:  # [P, 3]
    """Compute perspective-correct barycentrics of the covered pixels.

    Differentiable in ``vertices``, to any order.

    Args:
        vertices: x px, y px, depth z > 0, as they were rasterized. [V, 3]
        faces: corner indices, as they were rasterized. [F, 3]
        raster: raster of this mesh by any backend. [H, W]
        left: image column of the raster's first column.
        top: image row of the raster's first row.

    Returns:
        Weights of the three corners for every covered pixel, row by row. [P, 3]

    Raises:
        ShapeError: Shapes are wrong, or the raster shows a face that does not exist.

    Source: Heckbert and Moreton 1991, "Interpolation for Polygon Texture Mapping and Shading":
    1 / z is linear on the screen.
    """
    if vertices.ndim != 2 or vertices.shape[1] != 3 or faces.ndim != 2 or faces.shape[1] != 3:
        raise ShapeError(
            f"vertices {tuple(vertices.shape)} and faces {faces.shape}: expected [V, 3] and [F, 3]"
        )
    rows, columns = raster.coverage.nonzero()
    visible = raster.face_id[rows, columns]
    if visible.size and int(visible.max()) >= len(faces):
        raise ShapeError(f"the raster shows face {int(visible.max())} of a mesh with {len(faces)}")
    corners = vertices[torch.from_numpy(faces[visible].astype("int64")).to(vertices.device)]
    # Pixel centers lie at +0.5.
    pixel = torch.stack(
        [torch.from_numpy(columns + 0.5 + left), torch.from_numpy(rows + 0.5 + top)], -1
    ).to(vertices)
    return weigh_corners(corners, pixel)


def weigh_corners(
    corners: Tensor,  # [P, 3, 3]
    pixel: Tensor,  # [P, 2]
) -> Tensor:  # [P, 3]
    """Compute perspective-correct barycentrics of points in triangles; differentiable.

    Args:
        corners: x px, y px, depth z > 0 of the corners. [P, 3, 3]
        pixel: x and y of each point, px. [P, 2]
    """
    # A corner's weight on the screen is the area of the triangle opposite to it.
    a, b, c = corners[..., :2].unbind(1)
    areas = torch.stack(
        [
            _twice_signed_area(b, c, pixel),
            _twice_signed_area(c, a, pixel),
            _twice_signed_area(a, b, pixel),
        ],
        -1,
    )
    # Dividing by depth makes it the weight on the surface; the sign of the area cancels.
    by_depth = areas / corners[..., 2]
    return by_depth / by_depth.sum(-1, keepdim=True)


def _twice_signed_area(a: Tensor, b: Tensor, p: Tensor) -> Tensor:
    """Compute twice the signed area of the triangles (a, b, p). [P]"""
    u, v = b - a, p - a
    return u[:, 0] * v[:, 1] - u[:, 1] * v[:, 0]


def interpolate_differentiably(
    vertices: Tensor,  # [V, 3]
    faces: NDArray,  # [F, 3]
    raster: RasterizedMesh,  # [H, W]
    attributes: Tensor,  # [V, C]
    *,
    left: int = 0,
    top: int = 0,
) -> Tensor:  # [H, W, C]
    """Interpolate values of the vertices at every pixel, with gradients.

    The twin of ``interpolation.interpolate_attributes``. Differentiable in ``vertices`` and
    ``attributes``.

    Args:
        vertices: x px, y px, depth z > 0, as they were rasterized. [V, 3]
        faces: corner indices, as they were rasterized. [F, 3]
        raster: raster of this mesh by any backend. [H, W]
        attributes: C values per vertex. [V, C]
        left: image column of the raster's first column.
        top: image row of the raster's first row.

    Returns:
        Interpolated values, zero where no face covers the pixel. [H, W, C]

    Raises:
        ShapeError: Shapes are wrong, or the raster shows a face that does not exist.
    """
    if attributes.ndim != 2 or len(attributes) != len(vertices):
        raise ShapeError(
            f"attributes have shape {tuple(attributes.shape)}, expected [{len(vertices)}, C]"
        )
    # Weighted means of the three corners, placed at the covered pixels.
    weights = compute_barycentrics(vertices, faces, raster, left=left, top=top)
    rows, columns = raster.coverage.nonzero()
    corners = torch.from_numpy(faces[raster.face_id[rows, columns]].astype("int64"))
    values = (weights[..., None] * attributes[corners.to(attributes.device)]).sum(1)
    image = values.new_zeros(*raster.face_id.shape, attributes.shape[1])
    return image.index_put((torch.from_numpy(rows), torch.from_numpy(columns)), values)
