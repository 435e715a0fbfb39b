"""The terms of the loss, linearised: what a frame's picture and landmarks say."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import binary_dilation, binary_erosion
from scipy.spatial import Delaunay
from torch import Tensor

from dubfew.reconstruction.fitting.landmark_fit import LANDMARK_PRECISION, LIP_PRECISION
from dubfew.reconstruction.fitting.photometric.albedo import MIN_COLOR_RESIDUAL, Albedo
from dubfew.reconstruction.fitting.photometric.layout import NORMAL_VALUES, POSITION_VALUES
from dubfew.reconstruction.fitting.photometric.shading import (
    compute_shading_jacobian,
    shade_normals,
)
from dubfew.reconstruction.fitting.photometric.views import VIEW_SIZE_PX, FaceView
from dubfew.reconstruction.heads.head_model import EYE_JOINTS, HeadModel
from dubfew.reconstruction.heads.landmark_indices import INNER_LIPS, OUTER_LIPS
from dubfew.reconstruction.rasterizer.interpolation import interpolate_attributes
from dubfew.reconstruction.rasterizer.raster import rasterize_mesh
from dubfew.reconstruction.shading_torch import (
    linear_to_srgb,
    linear_to_srgb_derivative,
    srgb_to_linear,
)
from dubfew.reconstruction.track import Camera

# Absolute differences of display colour smaller than this count as squares.
HUBER_THRESHOLD = 0.01
# Larger ones are another thing: a hand, hair, a highlight.
OCCLUSION_COLOR_DIFFERENCE = 0.25
# Pixels this near to the edge of what is looked at show something else too.
RIM_PX = 2
# The looked-at part of a head: as seen from the front, within its landmarks.
LANDMARK_HULL_SCALE = 1.02


def find_skin_faces(head: HeadModel) -> NDArray[np.bool_]:
    """Faces whose colour the fit looks at: skin of the face, not mouth's inside, eyes, neck. [F]"""
    points = head.landmark_matrix() @ head.template
    middle = points.mean(0)
    hull = Delaunay((points[:, :2] - middle[:2]) * LANDMARK_HULL_SCALE)
    inside = hull.find_simplex(head.template[:, :2] - middle[:2]) >= 0
    inside &= head.template[:, 2] > points[:, 2].min() - 0.01  # not the back of the head
    if len(head.parents) > max(EYE_JOINTS):
        inside &= head.skin_weights[:, list(EYE_JOINTS)].sum(1) < 0.5
    return inside[head.faces].all(1) & ~head.mouth_filling[0]


@dataclass(frozen=True)
class FacePixels:
    """What a picture shows of a face, P pixels.

    Attributes:
        face_ids: that each shows. [P]
        barycentric: where on it. [P, 3]
        uv: [P, 2]
        normal: unit, view axes. [P, 3]
        normal_length: of the interpolated normal that it was made from. [P]
        observed: colour, sRGB. [P, 3]
        observed_linear: the same, linear. [P, 3]
        image_gradient: change of the picture's colour per px to the right and down. [P, 3, 2]
        pixel_indices: row and column in the picture. [2, P]
    """

    face_ids: NDArray[np.int32]
    barycentric: NDArray[np.float32]
    uv: Tensor
    normal: Tensor
    normal_length: Tensor
    observed: Tensor
    observed_linear: Tensor
    image_gradient: Tensor
    pixel_indices: tuple[NDArray[np.int64], NDArray[np.int64]]

    def __len__(self) -> int:
        return len(self.face_ids)


def to_view_coordinates(
    values: NDArray, depth: NDArray, view: FaceView, camera: Camera
) -> NDArray[np.float32]:
    """Vertices in a view: x, y in its px, depth in m. [V, 3]"""
    x = (values[:, 0] + camera.cx - view.left) * view.scale
    y = (values[:, 1] + camera.cy - view.top) * view.scale
    return np.stack([x, y, depth], 1).astype(np.float32)


def collect_face_pixels(
    view: FaceView,
    values: NDArray,  # [V, 5]
    depth: NDArray,  # [V]
    camera: Camera,
    head: HeadModel,
    skin_faces: NDArray[np.bool_],  # [F]
) -> FacePixels:
    """Pixels of a view that show a face's skin, for vertices as ``Geometry.project_frames`` gives "
    "them."""
    raster = rasterize_mesh(
        to_view_coordinates(values, depth, view, camera), head.faces, VIEW_SIZE_PX, VIEW_SIZE_PX
    )
    mask = raster.coverage & skin_faces[raster.face_id] & view.inside_frame
    rows, columns = np.nonzero(binary_erosion(mask, np.ones((3, 3)), RIM_PX))
    carried = interpolate_attributes(
        raster,
        head.faces,
        np.concatenate([head.uv, values[:, NORMAL_VALUES]], 1).astype(np.float32),
    )[rows, columns]
    normal = torch.from_numpy(carried[:, 2:].copy())
    length = normal.norm(dim=-1).clamp_min(1e-6)
    seen = view.image[:, rows, columns].T
    return FacePixels(
        raster.face_id[rows, columns],
        raster.barycentric[rows, columns],
        torch.from_numpy(carried[:, :2].copy()),
        normal / length[:, None],
        length,
        seen,
        srgb_to_linear(seen),
        view.image_gradient[:, :, rows, columns].permute(2, 1, 0),
        (rows, columns),
    )


@dataclass(frozen=True)
class PhotometricResidual:
    """Seen minus predicted colour of P pixels.

    Attributes:
        residual: sRGB. [P, 3]
        weight: that makes squares of it absolute differences; 0 where something covers the face.
            [P]
        mean_abs_error: absolute difference over the pixels that nothing covers.
    """

    residual: Tensor
    weight: Tensor
    mean_abs_error: float


def compute_photometric_residual(
    pixels: FacePixels, albedo: Albedo, lighting: Tensor
) -> PhotometricResidual:
    """The photometric term of one frame."""
    colour, spread = albedo.sample(pixels.uv)
    residual = pixels.observed - linear_to_srgb(colour * shade_normals(pixels.normal, lighting))
    size = residual.abs().mean(-1)
    kept = ~torch.from_numpy(
        _near_covered_mask(pixels.pixel_indices, (size >= OCCLUSION_COLOR_DIFFERENCE).numpy())
    )
    weight = (
        kept / size.clamp_min(HUBER_THRESHOLD) * (MIN_COLOR_RESIDUAL / spread) / max(len(pixels), 1)
    )
    mean = float((size * kept).sum() / kept.sum().clamp_min(1))
    return PhotometricResidual(residual, weight, mean)


def _near_covered_mask(
    pixel_indices: tuple[NDArray, NDArray], covered: NDArray[np.bool_]
) -> NDArray[np.bool_]:
    """Which of P pixels lie within ``RIM_PX`` of a covered one: its edge is blurred over them. "
    "[P]"""
    if not covered.any():
        return covered
    image = np.zeros((VIEW_SIZE_PX, VIEW_SIZE_PX), bool)
    image[pixel_indices] = covered
    return binary_dilation(image, np.ones((3, 3)), RIM_PX)[pixel_indices]


def compute_photometric_jacobian(
    pixels: FacePixels, albedo: Albedo, lighting: Tensor
) -> NDArray[np.float32]:  # [P, 3, 5]
    """Derivatives of each pixel's residual by x, y (px of the view) and normal.

    A point of the face stays the same point while it moves: the picture under it changes, and
    the light on it, its albedo does not.
    """
    colour, _ = albedo.sample(pixels.uv)
    gain = linear_to_srgb_derivative(colour * shade_normals(pixels.normal, lighting)) * colour
    slope = compute_shading_jacobian(pixels.normal, lighting)
    # Only what is across the unit normal turns it.
    along = slope @ pixels.normal[:, :, None]
    across = (slope - along * pixels.normal[:, None]) / pixels.normal_length[:, None, None]
    return torch.cat([pixels.image_gradient, -gain[..., None] * across], -1).numpy()


class LandmarkTerm:
    """The landmark term: distances in the picture over the face's size, squared."""

    def __init__(self, head: HeadModel) -> None:
        self._ids = head.landmark_ids
        self._corners = head.faces[head.landmark_faces]
        self._barycentric = head.landmark_barycentric
        lips = np.isin(self._ids, OUTER_LIPS + INNER_LIPS)
        self._precision = np.where(lips, LIP_PRECISION, LANDMARK_PRECISION)[:, None]

    def build_equations(
        self, values: NDArray, vertex_jacobian: NDArray, target: NDArray, camera: Camera
    ) -> tuple[NDArray, NDArray]:
        """J'J [D, D] and J'r [D] of one frame's landmarks [478, 3] (px)."""
        wanted = target[self._ids, :2] - [camera.cx, camera.cy]
        precision = self._precision / np.linalg.norm(np.ptp(wanted, axis=0))
        at = np.einsum("lk,lkv->lv", self._barycentric, values[self._corners, POSITION_VALUES])
        residual = ((at - wanted) * precision).ravel()
        moved = np.einsum(
            "lk,lkvd->lvd", self._barycentric, vertex_jacobian[self._corners, POSITION_VALUES]
        )
        jacobian = (moved * precision[..., None]).reshape(len(residual), -1).astype(np.float32)
        normal = (jacobian.T @ jacobian).astype(np.float64)
        return normal, (jacobian.T @ residual.astype(np.float32)).astype(np.float64)
