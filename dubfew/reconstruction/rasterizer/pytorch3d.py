"""The PyTorch3D backend of the rasteriser: the choice on CUDA, the reference elsewhere.

PyTorch3D rasterises in its own NDC: x to the LEFT, y up, the image's shorter side spans
[-1, 1], the longer one proportionally more, pixel centres at +0.5. Seen from our image axes
(x right, y down) that is a turn by 180 degrees, so the winding keeps its sense.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from dubfew.errors import MissingDependencyError

PYTORCH3D_INSTALL_HINT = (
    "PyTorch3D is not installed (no wheel on PyPI): install it as "
    "https://github.com/facebookresearch/pytorch3d/blob/main/INSTALL.md says, or use the "
    "rasteriser 'numba'"
)


def image_to_ndc(points: NDArray[np.float32], height: int, width: int) -> NDArray[np.float32]:
    """Image points (x px, y px, depth) to PyTorch3D's NDC, depth unchanged. [V, 3]"""
    half = min(height, width) / 2
    ndc = points.copy()
    ndc[:, 0] = (width / 2 - points[:, 0]) / half
    ndc[:, 1] = (height / 2 - points[:, 1]) / half
    return ndc


def rasterize_arrays(
    points: NDArray[np.float32],
    faces: NDArray[np.int32],
    height: int,
    width: int,
    *,
    left: int,
    top: int,
    cull_backfaces: bool,
) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """Face id [H, W] and barycentrics [H, W, 3] of checked arrays; see ``raster.rasterise``.

    Raises:
        MissingDependencyError: PyTorch3D is not installed.
    """
    try:
        from pytorch3d.renderer.mesh.rasterize_meshes import rasterize_meshes
        from pytorch3d.structures import Meshes
    except ImportError as error:
        raise MissingDependencyError(PYTORCH3D_INSTALL_HINT) from error

    usable = np.isfinite(points).all(1) & (points[:, 2] > 0)
    kept = np.flatnonzero(usable[faces].all(1)).astype(np.int32)
    if not len(kept) or not height or not width:
        return np.full((height, width), -1, np.int32), np.zeros((height, width, 3), np.float32)
    shifted = np.where(usable[:, None], points, np.float32(1))
    shifted[:, :2] -= np.array([left, top], np.float32)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    meshes = Meshes(
        verts=[torch.from_numpy(image_to_ndc(shifted, height, width)).to(device)],
        faces=[torch.from_numpy(faces[kept].astype(np.int64)).to(device)],
    )
    found, _, weights, _ = rasterize_meshes(
        meshes,
        image_size=(height, width),
        blur_radius=0.0,
        faces_per_pixel=1,
        perspective_correct=True,
        cull_backfaces=cull_backfaces,
    )
    index = found[0, ..., 0].cpu().numpy()
    covered = index >= 0
    face_id = np.where(covered, kept[np.where(covered, index, 0)], -1).astype(np.int32)
    barycentric = weights[0, ..., 0, :].cpu().numpy().astype(np.float32)
    return face_id, np.where(covered[..., None], barycentric, np.float32(0))
