"""Rasterization of a batch of meshes as tensors, on their device and with gradients.

`raster.rasterize_mesh` is the same for one mesh in NumPy.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from dubfew.errors import ShapeError
from dubfew.reconstruction.rasterizer.backends import BATCH_RASTERIZERS
from dubfew.reconstruction.rasterizer.raster import DEFAULT_RASTERIZER, choose_rasterizer


@dataclass(frozen=True)
class RasterizedBatch:
    """For every pixel of N pictures the face that it shows, and the position inside of it.

    Attributes:
        face_id: index of the nearest face, -1 where no face covers the pixel. [N, H, W] int64
        barycentric: perspective-correct weights of that face's corners, zero where no face covers
            the pixel; differentiable by the vertices. [N, H, W, 3]
    """

    face_id: Tensor
    barycentric: Tensor

    @property
    def coverage(self) -> Tensor:
        """True where a face covers the pixel. [N, H, W]"""
        return self.face_id >= 0

    def interpolate(self, faces: Tensor, attributes: Tensor) -> Tensor:
        """Interpolate values of the vertices at every pixel, with gradients.

        Args:
            faces: corner indices, as they were rasterized. [F, 3]
            attributes: C values per vertex, of all pictures or of each. [V, C] or [N, V, C]

        Returns:
            Interpolated values, zero where no face covers the pixel. [N, H, W, C]
        """
        corners = faces[self.face_id.clamp_min(0)]
        if attributes.ndim == 2:
            values = attributes[corners]
        else:
            frame = torch.arange(len(attributes), device=faces.device)
            values = attributes[frame[:, None, None, None], corners]
        return (self.barycentric[..., None] * values).sum(-2)


def rasterize_batch(
    vertices: Tensor,  # [N, V, 3]
    faces: Tensor,  # [F, 3]
    height: int,
    width: int,
    *,
    cull_backfaces: bool = False,
    backend: str | None = None,
) -> RasterizedBatch:
    """Rasterize N meshes with the same faces; the rules are those of `rasterize_mesh`.

    With the backend "pytorch3d" nothing leaves the device; "numba" takes the positions to the CPU
    and computes barycentrics on the device again.

    Args:
        vertices: x px, y px, depth z > 0 in any unit. [N, V, 3]
        faces: corner indices. [F, 3]
        height: height of the pictures, px.
        width: width of the pictures, px.
        cull_backfaces: leave out faces whose corners run clockwise on the screen.
        backend: an entry of ``BATCH_RASTERIZERS``; default: the value of ``DUBFEW_RASTERISER``,
            else "numba".

    Raises:
        ShapeError: Shapes are wrong, or a face names a vertex that does not exist.
        MissingDependencyError: The backend is not installed, or its name is unknown.
    """
    if vertices.ndim != 3 or vertices.shape[2] != 3 or faces.ndim != 2 or faces.shape[1] != 3:
        raise ShapeError(
            f"vertices {tuple(vertices.shape)} and faces {tuple(faces.shape)}: expected [N, V, 3] "
            "and [F, 3]"
        )
    if faces.numel() and not 0 <= int(faces.min()) <= int(faces.max()) < vertices.shape[1]:
        raise ShapeError(
            f"faces name vertices {int(faces.min())} to {int(faces.max())}, expected 0 to "
            f"{vertices.shape[1] - 1}"
        )
    rasterize = BATCH_RASTERIZERS[choose_rasterizer(backend)]
    return RasterizedBatch(
        *rasterize(vertices, faces.long(), height, width, cull_backfaces=cull_backfaces)
    )


def rasterizes_on_device() -> bool:
    """Return whether the backend of this process takes whole batches where their tensors are."""
    return choose_rasterizer() != DEFAULT_RASTERIZER
