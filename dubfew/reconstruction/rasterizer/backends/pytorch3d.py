"""The PyTorch3D rasterizer: for CUDA, and as a reference on the CPU.

PyTorch3D rasterizes in normalized device coordinates (NDC) of its own: x to the LEFT, y up, the
image's shorter side spans [-1, 1], the longer one proportionally more, pixel centers at +0.5. Seen
from the image's axes (x right, y down) that is a turn by 180 degrees, so the winding order stays.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dubfew.errors import MissingDependencyError
from dubfew.reconstruction.rasterizer.base import RasterizedMesh, validate_mesh

# Error message: no extra of dubfew can install PyTorch3D, since PyPI has no wheel of it.
PYTORCH3D_INSTALL_HINT = (
    "PyTorch3D is not installed (no wheel on PyPI): install it as "
    "https://github.com/facebookresearch/pytorch3d/blob/main/INSTALL.md says, or use the "
    "rasterizer 'numba'"
)


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
    """Rasterize a projected mesh on CUDA, or on the CPU where there is no CUDA.

    Args:
        vertices, faces, height, width, left, top, cull_backfaces: as in `rasterize_mesh`.

    Raises:
        ShapeError: Shapes are wrong, or a face names a vertex that does not exist.
        MissingDependencyError: PyTorch3D is not installed.
    """
    points, corners = validate_mesh(vertices, faces)
    rasterize_meshes, meshes_class = _import_pytorch3d()
    # Leave out faces with a corner behind the camera, as the numba kernel does.
    usable = np.isfinite(points).all(1) & (points[:, 2] > 0)
    kept = np.flatnonzero(usable[corners].all(1)).astype(np.int32)
    if not len(kept) or not height or not width:
        return RasterizedMesh(
            np.full((height, width), -1, np.int32), np.zeros((height, width, 3), np.float32)
        )
    # Unusable points get a harmless position: no kept face refers to them.
    shifted = np.where(usable[:, None], points, np.float32(1))
    shifted[:, :2] -= np.array([left, top], np.float32)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    meshes = meshes_class(
        verts=[torch.from_numpy(image_to_ndc(shifted, height, width)).to(device)],
        faces=[torch.from_numpy(corners[kept].astype(np.int64)).to(device)],
    )
    pixel_faces, _, weights, _ = rasterize_meshes(
        meshes,
        image_size=(height, width),
        blur_radius=0.0,
        faces_per_pixel=1,
        perspective_correct=True,
        cull_backfaces=cull_backfaces,
    )
    # Back from indices among the kept faces to those of the mesh.
    index = pixel_faces[0, ..., 0].cpu().numpy()
    covered = index >= 0
    face_id = np.where(covered, kept[np.where(covered, index, 0)], -1).astype(np.int32)
    barycentric = weights[0, ..., 0, :].cpu().numpy().astype(np.float32)
    return RasterizedMesh(face_id, np.where(covered[..., None], barycentric, np.float32(0)))


def rasterize_batch_pytorch3d(
    vertices: Tensor,  # [N, V, 3]
    faces: Tensor,  # [F, 3]
    height: int,
    width: int,
    *,
    cull_backfaces: bool = False,
) -> tuple[Tensor, Tensor]:
    """Rasterize a batch on the device that its meshes are on, in one call and without NumPy.

    PyTorch3D differentiates the barycentrics by the vertices.

    Args:
        vertices, faces, height, width, cull_backfaces: as in `rasterize_batch`.

    Raises:
        MissingDependencyError: PyTorch3D is not installed.
    """
    rasterize_meshes, meshes_class = _import_pytorch3d()
    usable = torch.isfinite(vertices).all(-1) & (vertices[..., 2] > 0)
    points = torch.where(usable[..., None], vertices, torch.ones_like(vertices))
    half = min(height, width) / 2
    center = vertices.new_tensor([width / 2, height / 2])
    ndc = torch.cat([(center - points[..., :2]) / half, points[..., 2:]], -1)
    # Faces with a corner behind the camera lose their area, which leaves them out and keeps the
    # number of faces, and with it their indices, equal in all meshes.
    kept = usable[:, faces].all(-1)
    corners = torch.where(kept[..., None], faces, faces[None, :, :1].expand(len(kept), -1, 3))
    packed, _, weights, _ = rasterize_meshes(
        meshes_class(verts=ndc, faces=corners),
        image_size=(height, width),
        blur_radius=0.0,
        faces_per_pixel=1,
        perspective_correct=True,
        cull_backfaces=cull_backfaces,
    )
    # Faces are counted through the whole batch.
    face_id = packed[..., 0]
    covered = face_id >= 0
    face_id = torch.where(covered, face_id % len(faces), face_id)
    return face_id, torch.where(covered[..., None], weights[..., 0, :], weights.new_zeros(()))


def _import_pytorch3d() -> tuple[Any, Any]:
    """Import PyTorch3D's function that rasterizes and its class of meshes.

    Raises:
        MissingDependencyError: PyTorch3D is not installed.
    """
    try:
        from pytorch3d.renderer.mesh.rasterize_meshes import rasterize_meshes
        from pytorch3d.structures import Meshes
    except ImportError as error:
        raise MissingDependencyError(PYTORCH3D_INSTALL_HINT) from error
    return rasterize_meshes, Meshes


def image_to_ndc(points: NDArray[np.float32], height: int, width: int) -> NDArray[np.float32]:
    """Convert image points to PyTorch3D's normalized device coordinates, depth unchanged.

    Args:
        points: x px, y px, depth. [V, 3]
        height: height of the image, px.
        width: width of the image, px.

    Returns:
        x to the left, y up, depth. [V, 3]
    """
    half = min(height, width) / 2
    ndc = points.copy()
    ndc[:, 0] = (width / 2 - points[:, 0]) / half
    ndc[:, 1] = (height / 2 - points[:, 1]) / half
    return ndc


RASTERIZER = rasterize_pytorch3d
BATCH_RASTERIZER = rasterize_batch_pytorch3d
