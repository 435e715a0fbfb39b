"""Triangles to pixels: which face a pixel shows, and where on it.

No gradients pass here: what must be differentiable is recomputed from the face id and the
barycentrics in torch, the same way for every backend of ``RASTERIZER_BACKENDS``.
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from dubfew.errors import MissingDependencyError, ShapeError
from dubfew.utils.jit import njit_cached

# Names the backend that everything in this process uses.
RASTERIZER_ENV_VARIABLE = "DUBFEW_RASTERISER"


@dataclass(frozen=True)
class RasterizedMesh:
    """A rasterised mesh.

    Attributes:
        face_id: index of the nearest face, -1 where there is none. [H, W] int32
        barycentric: perspective-correct weights of that face's three corners, zero where
            there is none. [H, W, 3] float32
    """

    face_id: NDArray[np.int32]
    barycentric: NDArray[np.float32]

    @property
    def coverage(self) -> NDArray[np.bool_]:
        """True where a face is. [H, W]"""
        return self.face_id >= 0


class RasterizerBackend(Protocol):
    """The signature that every entry of ``RASTERIZER_BACKENDS`` has; see :func:`rasterize_mesh`."""

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


def rasterize_mesh(
    vertices: NDArray,  # [V, 3]
    faces: NDArray,  # [F, 3]
    height: int,
    width: int,
    *,
    left: int = 0,
    top: int = 0,
    cull_backfaces: bool = False,
    backend: str | None = None,
) -> RasterizedMesh:
    """Rasterise a mesh that is already projected into the image.

    A pixel belongs to a face when its centre (at +0.5) lies inside; on a shared edge exactly
    one of the two neighbours takes it. The nearest face wins, the lower index on a tie. A face
    with a corner behind the camera (z <= 0) or not finite is left out.

    Args:
        vertices: x px, y px, depth z > 0 in any unit. [V, 3]
        faces: corner indices. [F, 3]
        height: of the window, px.
        width: of the window, px.
        left: image column of the window's first column; the result equals that window cut
            out of the whole image's raster, bit for bit.
        top: image row of the window's first row.
        cull_backfaces: leave out faces whose corners run clockwise on the screen (back faces).
        backend: an entry of ``RASTERIZER_BACKENDS``; default: ``DUBFEW_RASTERISER``, else
            ``numba``.

    Returns:
        The window's raster, [height, width].

    Raises:
        ShapeError: wrong shapes, or a face names a vertex that does not exist.
        MissingDependencyError: that backend is not installed, or there is none of that name.
    """
    name = backend or os.environ.get(RASTERIZER_ENV_VARIABLE) or "numba"
    if name not in RASTERIZER_BACKENDS:
        raise MissingDependencyError(
            f"no rasteriser {name!r}: {RASTERIZER_ENV_VARIABLE} may be "
            f"{' or '.join(RASTERIZER_BACKENDS)}"
        )
    return RASTERIZER_BACKENDS[name](
        vertices, faces, height, width, left=left, top=top, cull_backfaces=cull_backfaces
    )


def rasterize_numba(
    vertices: NDArray,  # [V, 3]
    faces: NDArray,  # [F, 3]
    height: int,
    width: int,
    *,
    left: int = 0,
    top: int = 0,
    cull_backfaces: bool = False,
) -> RasterizedMesh:
    """:func:`rasterize_mesh` by a compiled loop over the faces on one core."""
    points, corners = _validate_mesh(vertices, faces)
    face_id = np.full((height, width), -1, np.int32)
    barycentric = np.zeros((height, width, 3), np.float32)
    nearness = np.zeros((height, width), np.float64)
    _rasterize_kernel(points, corners, left, top, cull_backfaces, face_id, barycentric, nearness)
    return RasterizedMesh(face_id, barycentric)


def rasterize_frames(
    vertices: NDArray,  # [N, V, 3]
    faces: NDArray,  # [F, 3]
    height: int,
    width: int,
    *,
    left: int = 0,
    top: int = 0,
    cull_backfaces: bool = False,
    num_threads: int | None = None,
) -> list[RasterizedMesh]:
    """:func:`rasterize_mesh` for every frame of N, several at a time (threads, default: all "
    "cores)."""

    def rasterize_frame(frame: NDArray) -> RasterizedMesh:
        return rasterize_mesh(
            frame, faces, height, width, left=left, top=top, cull_backfaces=cull_backfaces
        )

    with ThreadPoolExecutor(num_threads or os.cpu_count() or 1) as pool:
        return list(pool.map(rasterize_frame, vertices))


def rasterize_pytorch3d(
    vertices: NDArray,  # [V, 3]
    faces: NDArray,  # [F, 3]
    height: int,
    width: int,
    *,
    left: int = 0,
    top: int = 0,
    cull_backfaces: bool = False,
) -> RasterizedMesh:
    """:func:`rasterize_mesh` by PyTorch3D, on CUDA where there is one.

    Raises:
        MissingDependencyError: PyTorch3D is not installed.
    """
    from dubfew.reconstruction.rasterizer import pytorch3d

    points, corners = _validate_mesh(vertices, faces)
    face_id, barycentric = pytorch3d.rasterize_arrays(
        points, corners, height, width, left=left, top=top, cull_backfaces=cull_backfaces
    )
    return RasterizedMesh(face_id, barycentric)


RASTERIZER_BACKENDS: dict[str, RasterizerBackend] = {
    "numba": rasterize_numba,
    "pytorch3d": rasterize_pytorch3d,
}


def interpolate_attributes(
    raster: RasterizedMesh, faces: NDArray, attributes: NDArray
) -> NDArray[np.float32]:
    """Values of vertices carried to the pixels.

    Args:
        raster: of a mesh with these faces. [H, W]
        faces: corner indices. [F, 3]
        attributes: C values per vertex. [V, C]

    Returns:
        Interpolated values, zero where no face is. [H, W, C]

    Raises:
        ShapeError: wrong shapes, or a face names a vertex that has no attributes.
    """
    if attributes.ndim != 2:
        raise ShapeError(f"attributes have shape {attributes.shape}, expected [V, C]")
    corners = _validate_faces(faces, len(attributes))
    if raster.face_id.size and int(raster.face_id.max()) >= len(corners):
        raise ShapeError(
            f"the raster shows face {int(raster.face_id.max())} of a mesh with {len(corners)} "
            "faces: pass the faces that were rasterised"
        )
    values = np.ascontiguousarray(attributes, np.float32)
    out = np.zeros((*raster.face_id.shape, values.shape[1]), np.float32)
    _interpolate_kernel(raster.face_id, raster.barycentric, corners, values, out)
    return out


def _validate_mesh(
    vertices: NDArray, faces: NDArray
) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
    if vertices.ndim != 2 or vertices.shape[1] != 3:
        raise ShapeError(f"vertices have shape {vertices.shape}, expected [V, 3]")
    return np.ascontiguousarray(vertices, np.float32), _validate_faces(faces, len(vertices))


def _validate_faces(faces: NDArray, num_vertices: int) -> NDArray[np.int32]:
    if faces.ndim != 2 or faces.shape[1] != 3:
        raise ShapeError(f"faces have shape {faces.shape}, expected [F, 3]")
    # The compiled kernels do not check bounds: a wrong index would read foreign memory.
    if faces.size and (int(faces.min()) < 0 or int(faces.max()) >= num_vertices):
        raise ShapeError(
            f"faces name vertices {int(faces.min())} to {int(faces.max())}, expected 0 to "
            f"{num_vertices - 1}"
        )
    return np.ascontiguousarray(faces, np.int32)


@njit_cached
def _edge_function(ax, ay, bx, by, px, py):
    """Twice the signed area of (a, b, p): positive when p is to the right of a → b (y down).

    Always computed from the same end, so that the two faces of a shared edge get exactly
    opposite numbers and no pixel falls between them through rounding.
    """
    if ax < bx or (ax == bx and ay < by):
        return (bx - ax) * (py - ay) - (by - ay) * (px - ax)
    return -((ax - bx) * (py - by) - (ay - by) * (px - bx))


@njit_cached
def _owns_edge(ax, ay, bx, by):
    """Whether the face to the right of a → b owns the pixels exactly on it; never both sides."""
    return by < ay or (by == ay and bx > ax)


@njit_cached
def _rasterize_kernel(points, faces, left, top, cull_backfaces, face_id, barycentric, nearness):
    height, width = face_id.shape
    for f in range(faces.shape[0]):
        i, j, k = faces[f, 0], faces[f, 1], faces[f, 2]
        az, bz, cz = np.float64(points[i, 2]), np.float64(points[j, 2]), np.float64(points[k, 2])
        if not (az > 0.0 and bz > 0.0 and cz > 0.0):  # also false for NaN
            continue
        ax, ay = np.float64(points[i, 0]), np.float64(points[i, 1])
        bx, by = np.float64(points[j, 0]), np.float64(points[j, 1])
        cx, cy = np.float64(points[k, 0]), np.float64(points[k, 1])
        if not np.isfinite(ax + ay + az + bx + by + bz + cx + cy + cz):
            continue
        area = _edge_function(ax, ay, bx, by, cx, cy)
        if area == 0.0 or (cull_backfaces and area > 0.0):
            continue
        if area < 0.0:  # turn it round, remember which corner is which
            bx, by, bz, cx, cy, cz = cx, cy, cz, bx, by, bz
        # The box is cut to the window as floats: far coordinates would overflow an integer.
        first_column = max(np.ceil(min(ax, bx, cx) - 0.5) - left, 0.0)
        last_column = min(np.floor(max(ax, bx, cx) - 0.5) - left, width - 1.0)
        first_row = max(np.ceil(min(ay, by, cy) - 0.5) - top, 0.0)
        last_row = min(np.floor(max(ay, by, cy) - 0.5) - top, height - 1.0)
        if first_column > last_column or first_row > last_row:
            continue
        own_a, own_b, own_c = (
            _owns_edge(bx, by, cx, cy),
            _owns_edge(cx, cy, ax, ay),
            _owns_edge(ax, ay, bx, by),
        )
        for row in range(int(first_row), int(last_row) + 1):
            py = top + row + 0.5
            for column in range(int(first_column), int(last_column) + 1):
                px = left + column + 0.5
                a = _edge_function(bx, by, cx, cy, px, py)
                if a < 0.0 or (a == 0.0 and not own_a):
                    continue
                b = _edge_function(cx, cy, ax, ay, px, py)
                if b < 0.0 or (b == 0.0 and not own_b):
                    continue
                c = _edge_function(ax, ay, bx, by, px, py)
                if c < 0.0 or (c == 0.0 and not own_c):
                    continue
                # 1 / z is linear on the screen, z is not; a + b + c is twice the area.
                a, b, c = a / az, b / bz, c / cz
                near = (a + b + c) / abs(area)
                if near <= nearness[row, column]:
                    continue
                nearness[row, column] = near
                face_id[row, column] = f
                total = a + b + c
                barycentric[row, column, 0] = a / total
                if area < 0.0:
                    b, c = c, b
                barycentric[row, column, 1] = b / total
                barycentric[row, column, 2] = c / total


@njit_cached
def _interpolate_kernel(face_id, barycentric, faces, attributes, out):
    height, width = face_id.shape
    channels = attributes.shape[1]
    for row in range(height):
        for column in range(width):
            f = face_id[row, column]
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
