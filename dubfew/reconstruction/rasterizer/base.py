"""Rasterized meshes, and what all rasterizer backends share: their signature and shape checks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from dubfew.errors import ShapeError

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class RasterizedMesh:
    """For every pixel the face that it shows, and the position inside of this face.

    Attributes:
        face_id: index of the nearest face, -1 where no face covers the pixel. [H, W] int32
        barycentric: perspective-correct weights of that face's three corners, zero where no face
            covers the pixel. [H, W, 3] float32
    """

    face_id: NDArray[np.int32]
    barycentric: NDArray[np.float32]

    @property
    def coverage(self) -> NDArray[np.bool_]:
        """True where a face covers the pixel. [H, W]"""
        return self.face_id >= 0


class RasterizerBackend(Protocol):
    """Signature of every entry of ``RASTERIZER_BACKENDS``; arguments as in `rasterize_mesh`."""

    def __call__(
        self,
        vertices: NDArray,
        faces: NDArray,
        height: int,
        width: int,
        *,
        left: int = 0,
        top: int = 0,
        cull_backfaces: bool = False,
    ) -> RasterizedMesh: ...


class BatchRasterizer(Protocol):
    """Signature of every entry of ``BATCH_RASTERIZERS``; arguments as in `rasterize_batch`."""

    def __call__(
        self,
        vertices: Tensor,
        faces: Tensor,
        height: int,
        width: int,
        *,
        cull_backfaces: bool = False,
    ) -> tuple[Tensor, Tensor]:
        """Return faces [N, H, W] int64 and barycentrics [N, H, W, 3] on the meshes' device."""
        ...


def validate_mesh(
    vertices: NDArray,  # [V, 3]
    faces: NDArray,  # [F, 3]
) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
    """Check a mesh and convert it to the types of the backends.

    Args:
        vertices: projected positions. [V, 3]
        faces: corner indices. [F, 3]

    Returns:
        Contiguous vertices [V, 3] and faces [F, 3].

    Raises:
        ShapeError: Shapes are wrong, or a face names a vertex that does not exist.
    """
    if vertices.ndim != 2 or vertices.shape[1] != 3:
        raise ShapeError(f"vertices have shape {vertices.shape}, expected [V, 3]")
    return np.ascontiguousarray(vertices, np.float32), validate_faces(faces, len(vertices))


def validate_faces(faces: NDArray, num_vertices: int) -> NDArray[np.int32]:
    """Check faces and convert them to contiguous int32.

    Args:
        faces: corner indices. [F, 3]
        num_vertices: number of vertices of the mesh.

    Raises:
        ShapeError: The shape is wrong, or a face names a vertex that does not exist.
    """
    if faces.ndim != 2 or faces.shape[1] != 3:
        raise ShapeError(f"faces have shape {faces.shape}, expected [F, 3]")
    # The compiled kernels do not check bounds: a wrong index would read foreign memory.
    if faces.size and (int(faces.min()) < 0 or int(faces.max()) >= num_vertices):
        raise ShapeError(
            f"faces name vertices {int(faces.min())} to {int(faces.max())}, expected 0 to "
            f"{num_vertices - 1}"
        )
    return np.ascontiguousarray(faces, np.int32)
