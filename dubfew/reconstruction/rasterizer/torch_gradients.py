"""What a raster says, once more in torch: differentiable in the mesh, for every backend the same.

Which face a pixel shows is taken from the raster and held fixed; so gradients tell how colours
slide over the surface, not how its outline moves.
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
    """Perspective-correct barycentrics of the covered pixels.

    Differentiable in ``vertices``, as often as wanted.

    Args:
        vertices: x px, y px, depth z > 0; what was rasterised. [V, 3]
        faces: corner indices; what was rasterised. [F, 3]
        raster: of these, by any entry of ``RASTERISERS``. [H, W]
        left: image column of the raster's first column.
        top: image row of the raster's first row.

    Returns:
        Weights of the three corners for every covered pixel, row by row. [P, 3]

    Raises:
        ShapeError: wrong shapes, or the raster shows a face that there is none of.

    Source: Heckbert and Moreton 1991 (1 / z is linear on the screen).
    """
    if vertices.ndim != 2 or vertices.shape[1] != 3 or faces.ndim != 2 or faces.shape[1] != 3:
        raise ShapeError(
            f"vertices {tuple(vertices.shape)} and faces {faces.shape}: expected [V, 3] and [F, 3]"
        )
    rows, columns = raster.coverage.nonzero()
    shown = raster.face_id[rows, columns]
    if shown.size and int(shown.max()) >= len(faces):
        raise ShapeError(f"the raster shows face {int(shown.max())} of a mesh with {len(faces)}")
    corners = vertices[torch.from_numpy(faces[shown].astype("int64")).to(vertices.device)]
    pixel = torch.stack(
        [torch.from_numpy(columns + 0.5 + left), torch.from_numpy(rows + 0.5 + top)], -1
    ).to(vertices)
    a, b, c = corners[..., :2].unbind(1)
    areas = torch.stack(
        [
            _twice_signed_area(b, c, pixel),
            _twice_signed_area(c, a, pixel),
            _twice_signed_area(a, b, pixel),
        ],
        -1,
    )
    near = areas / corners[..., 2]
    return near / near.sum(-1, keepdim=True)


def _twice_signed_area(a: Tensor, b: Tensor, p: Tensor) -> Tensor:
    """Twice the signed area of the triangles (a, b, p). [P]"""
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
    """Values of vertices at every pixel: ``raster.interpolate``, with gradients.

    Differentiable in ``vertices`` and ``attributes``; zero where no face is. Arguments and errors
    as in :func:`compute_barycentrics`; ``attributes`` are C values per vertex.
    """
    if attributes.ndim != 2 or len(attributes) != len(vertices):
        raise ShapeError(
            f"attributes have shape {tuple(attributes.shape)}, expected [{len(vertices)}, C]"
        )
    weights = compute_barycentrics(vertices, faces, raster, left=left, top=top)
    rows, columns = raster.coverage.nonzero()
    corners = torch.from_numpy(faces[raster.face_id[rows, columns]].astype("int64"))
    values = (weights[..., None] * attributes[corners.to(attributes.device)]).sum(1)
    picture = values.new_zeros(*raster.face_id.shape, attributes.shape[1])
    return picture.index_put((torch.from_numpy(rows), torch.from_numpy(columns)), values)
