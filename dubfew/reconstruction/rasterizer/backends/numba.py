"""The default rasterizer: a compiled loop over faces and pixels on one CPU core."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from dubfew.reconstruction.rasterizer.base import RasterizedMesh, validate_mesh
from dubfew.utils.jit import njit_cached

if TYPE_CHECKING:
    from torch import Tensor


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
    """Rasterize a projected mesh by a loop over its faces.

    Args:
        vertices, faces, height, width, left, top, cull_backfaces: as in `rasterize_mesh`.

    Raises:
        ShapeError: Shapes are wrong, or a face names a vertex that does not exist.
    """
    points, corners = validate_mesh(vertices, faces)
    face_id = np.full((height, width), -1, np.int32)
    barycentric = np.zeros((height, width, 3), np.float32)
    # The depth buffer holds 1 / z, which is linear on the screen; 0 is infinitely far.
    inverse_depth = np.zeros((height, width), np.float64)
    _rasterize_kernel(
        points, corners, left, top, cull_backfaces, face_id, barycentric, inverse_depth
    )
    return RasterizedMesh(face_id, barycentric)


@njit_cached
def _edge_function(ax, ay, bx, by, px, py):
    """Compute twice the signed area of (a, b, p): positive if p is right of a → b (y down).

    The computation always starts from the same end of the edge, so that the two faces of a shared
    edge get exactly opposite numbers and no pixel falls between them through rounding.
    """
    if ax < bx or (ax == bx and ay < by):
        return (bx - ax) * (py - ay) - (by - ay) * (px - ax)
    return -((ax - bx) * (py - by) - (ay - by) * (px - bx))


@njit_cached
def _owns_edge(ax, ay, bx, by):
    """Return True if the face right of a → b covers pixels exactly on this edge.

    Of the two faces at an edge exactly one gets True: the usual top-left rule.
    """
    return by < ay or (by == ay and bx > ax)


@njit_cached
def _rasterize_kernel(
    points, faces, left, top, cull_backfaces, face_id, barycentric, inverse_depth
):
    """Fill ``face_id``, ``barycentric`` and ``inverse_depth`` [H, W] face by face."""
    height, width = face_id.shape
    for f in range(faces.shape[0]):
        i, j, k = faces[f, 0], faces[f, 1], faces[f, 2]
        az, bz, cz = np.float64(points[i, 2]), np.float64(points[j, 2]), np.float64(points[k, 2])
        # A corner behind the camera has no image. The comparison is also false for NaN.
        if not (az > 0.0 and bz > 0.0 and cz > 0.0):
            continue
        ax, ay = np.float64(points[i, 0]), np.float64(points[i, 1])
        bx, by = np.float64(points[j, 0]), np.float64(points[j, 1])
        cx, cy = np.float64(points[k, 0]), np.float64(points[k, 1])
        if not np.isfinite(ax + ay + az + bx + by + bz + cx + cy + cz):
            continue
        area = _edge_function(ax, ay, bx, by, cx, cy)
        if area == 0.0 or (cull_backfaces and area > 0.0):
            continue
        # Let the corners of every face run clockwise, so that all edge functions are positive
        # inside. The sign of the area keeps which corner is which.
        if area < 0.0:
            bx, by, bz, cx, cy, cz = cx, cy, cz, bx, by, bz
        # Bounding box, clipped to the window as floats: far coordinates would overflow an integer.
        first_column = max(np.ceil(min(ax, bx, cx) - 0.5) - left, 0.0)
        last_column = min(np.floor(max(ax, bx, cx) - 0.5) - left, width - 1.0)
        first_row = max(np.ceil(min(ay, by, cy) - 0.5) - top, 0.0)
        last_row = min(np.floor(max(ay, by, cy) - 0.5) - top, height - 1.0)
        if first_column > last_column or first_row > last_row:
            continue
        # Which of its edges the face owns, named by the opposite corner.
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
                # Perspective-correct weights: 1 / z is linear on the screen, z is not. Before the
                # division a + b + c is twice the area.
                a, b, c = a / az, b / bz, c / cz
                nearness = (a + b + c) / abs(area)
                if nearness <= inverse_depth[row, column]:
                    continue
                inverse_depth[row, column] = nearness
                face_id[row, column] = f
                total = a + b + c
                barycentric[row, column, 0] = a / total
                if area < 0.0:
                    b, c = c, b
                barycentric[row, column, 1] = b / total
                barycentric[row, column, 2] = c / total


def rasterize_batch_numba(
    vertices: Tensor,  # [N, V, 3]
    faces: Tensor,  # [F, 3]
    height: int,
    width: int,
    *,
    cull_backfaces: bool = False,
) -> tuple[Tensor, Tensor]:
    """Rasterize a batch on the CPU; barycentrics are computed again in torch, with gradients.

    Args:
        vertices, faces, height, width, cull_backfaces: as in `rasterize_batch`.
    """
    import torch

    from dubfew.reconstruction.rasterizer.torch_gradients import weigh_corners

    corners = faces.cpu().numpy()
    rasters = [
        rasterize_numba(mesh, corners, height, width, cull_backfaces=cull_backfaces)
        for mesh in vertices.detach().cpu().numpy()
    ]
    face_id = torch.from_numpy(np.stack([raster.face_id for raster in rasters]).astype(np.int64))
    face_id = face_id.to(vertices.device)
    frame, row, column = (face_id >= 0).nonzero(as_tuple=True)
    shown = vertices[frame[:, None], faces[face_id[frame, row, column]]]
    weights = weigh_corners(shown, torch.stack([column + 0.5, row + 0.5], -1).to(shown))
    barycentric = weights.new_zeros(*face_id.shape, 3).index_put((frame, row, column), weights)
    return face_id, barycentric


RASTERIZER = rasterize_numba
BATCH_RASTERIZER = rasterize_batch_numba
