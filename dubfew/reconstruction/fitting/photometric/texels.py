"""Colors, normals and visibility of the albedo's texels in a view."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from dubfew.reconstruction.fitting.photometric.albedo import ALBEDO_SIZE_TEXELS
from dubfew.reconstruction.fitting.photometric.layout import NORMAL_VALUES
from dubfew.reconstruction.fitting.photometric.terms import to_view_coordinates
from dubfew.reconstruction.fitting.photometric.views import VIEW_SIZE_PX, FaceView
from dubfew.reconstruction.heads.head_model import HeadModel
from dubfew.reconstruction.rasterizer.interpolation import interpolate_attributes
from dubfew.reconstruction.rasterizer.raster import rasterize_mesh
from dubfew.reconstruction.shading_torch import srgb_to_linear
from dubfew.reconstruction.track import Camera

# Depth, m, by which a texel may lie behind the nearest surface and still be seen: rounding of
# depths between pixels. Larger values let hidden sides of the nose through.
DEPTH_TOLERANCE_METERS = 0.004
# Cosine to the viewer at which a texel begins to count: flatter views are smeared.
MIN_FACING_COSINE = 0.15


@dataclass(frozen=True)
class TexelSamples:
    """The T x T texels of an albedo as one frame shows them.

    Attributes:
        color: linear RGB. [T, T, 3]
        normal: unit normals, view axes. [T, T, 3]
        weight: how well the frame shows a texel, by its cosine to the viewer; 0 where it does not.
            [T, T]
    """

    color: Tensor
    normal: Tensor
    weight: Tensor


class TexelSampler:
    """Samples pictures at the places where a head's texels fall.

    Args:
        head: head model whose texture coordinates the albedo has.
        skin_faces: faces whose color is fitted. [F]
    """

    def __init__(self, head: HeadModel, skin_faces: NDArray[np.bool_]) -> None:
        self._head = head
        self._skin_faces = skin_faces
        plane = np.concatenate([head.uv * ALBEDO_SIZE_TEXELS, np.ones((len(head.uv), 1))], 1)
        self._texel_raster = rasterize_mesh(
            plane.astype(np.float32), head.faces, ALBEDO_SIZE_TEXELS, ALBEDO_SIZE_TEXELS
        )

    def sample(
        self,
        view: FaceView,
        values: NDArray,  # [V, 5]
        depth: NDArray,  # [V]
        camera: Camera,
    ) -> TexelSamples:
        """Sample the color, normal and visibility of every texel in one view.

        Args:
            view: view of a face.
            values: projected vertices: x, y (px from the principal point) and normal. [V, 5]
            depth: their camera-space depth, m. [V]
            camera: camera of the frame.
        """
        # Carry view coordinates and normals from the vertices to the texels.
        placed = to_view_coordinates(values, depth, view, camera)
        carried = interpolate_attributes(
            self._texel_raster,
            self._head.faces,
            np.concatenate([placed, values[:, NORMAL_VALUES]], 1).astype(np.float32),
        )
        normal = F.normalize(torch.from_numpy(carried[..., 3:]), dim=-1)
        grid = torch.from_numpy(carried[..., :2] * (2 / VIEW_SIZE_PX) - 1)[None]
        color = F.grid_sample(view.image[None], grid, padding_mode="border", align_corners=False)[
            0
        ].permute(1, 2, 0)
        raster = rasterize_mesh(placed, self._head.faces, VIEW_SIZE_PX, VIEW_SIZE_PX)
        front = interpolate_attributes(raster, self._head.faces, placed[:, 2:])[..., 0]
        # A texel is hidden where the view's depth buffer holds something nearer.
        at = np.clip(carried[..., 1::-1].astype(np.int64), 0, VIEW_SIZE_PX - 1)
        hidden = front[at[..., 0], at[..., 1]] < carried[..., 2] - DEPTH_TOLERANCE_METERS
        skin = self._skin_faces[self._texel_raster.face_id] & self._texel_raster.coverage
        visible = skin & ~hidden & view.inside_frame[at[..., 0], at[..., 1]]
        visible &= ((carried[..., :2] > 0) & (carried[..., :2] < VIEW_SIZE_PX)).all(-1)
        weight = (normal[..., 2] - MIN_FACING_COSINE).clamp_min(0) * torch.from_numpy(visible)
        return TexelSamples(srgb_to_linear(color), normal, weight)
