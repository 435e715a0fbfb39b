"""The terms of the loss and their derivatives: colors of a frame's pixels, and landmarks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import binary_dilation, binary_erosion
from scipy.spatial import Delaunay
from torch import Tensor

from dubfew.reconstruction.fitting.landmark_fit import LANDMARK_PRECISION, LIP_PRECISION
from dubfew.reconstruction.fitting.photometric.albedo import MIN_COLOR_RESIDUAL, FaceAlbedo
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

# Differences of display color smaller than this count as squares, larger ones as absolute
# differences (Huber 1964). Near 0 the weights would be infinite.
HUBER_THRESHOLD = 0.01
# Differences from here on show something else than skin: a hand, hair, a highlight. Smaller values
# leave out skin whose albedo is still wrong.
OCCLUSION_COLOR_DIFFERENCE = 0.25
# Pixels this near to an edge are left out: the view's blur mixes both sides.
RIM_PX = 2
# The face is what lies within the hull of the landmarks, as seen from the front. This scales the
# landmarks, so that vertices on the hull itself count as outside.
LANDMARK_HULL_SCALE = 1.02
# Depth, m, by which the face reaches behind its rearmost landmark: not as far as the back of the
# head.
FACE_DEPTH_MARGIN_METERS = 0.01


def find_skin_faces(head: HeadModel) -> NDArray[np.bool_]:
    """Find the faces whose color is fitted: skin of the face without mouth, eyes and neck.

    Args:
        head: head model.

    Returns:
        One flag per face. [F]
    """
    points = head.landmark_matrix() @ head.template
    middle = points.mean(0)
    hull = Delaunay((points[:, :2] - middle[:2]) * LANDMARK_HULL_SCALE)
    inside = hull.find_simplex(head.template[:, :2] - middle[:2]) >= 0
    inside &= head.template[:, 2] > points[:, 2].min() - FACE_DEPTH_MARGIN_METERS
    if len(head.parents) > max(EYE_JOINTS):
        inside &= head.skin_weights[:, list(EYE_JOINTS)].sum(1) < 0.5
    return inside[head.faces].all(1) & ~head.mouth_filling[0]


@dataclass(frozen=True)
class FacePixels:
    """The P pixels of a view that show a face's skin.

    Attributes:
        face_ids: face of the mesh that each pixel shows. [P]
        barycentric: place of the pixel in that face. [P, 3]
        uv: texture coordinates. [P, 2]
        normal: unit normals, view axes. [P, 3]
        normal_length: lengths of the interpolated normals before they were normalized. [P]
        observed: colors, sRGB in [0, 1]. [P, 3]
        observed_linear: colors, linear RGB. [P, 3]
        image_gradient: change of the view's color per px to the right and down. [P, 3, 2]
        pixel_indices: rows and columns in the view. [2, P]
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
    """Convert projected vertices to the coordinates of a view.

    Args:
        values: x, y (px from the principal point) and normal. [V, 5]
        depth: camera-space depth, m. [V]
        view: view of a face.
        camera: camera of the frame.

    Returns:
        x, y in px of the view, depth in m. [V, 3]
    """
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
    """Collect the pixels of a view that show a face's skin.

    Args:
        view: view of the face.
        values: projected vertices, as ``HeadProjector.project_frames`` makes them. [V, 5]
        depth: their camera-space depth, m. [V]
        camera: camera of the frame.
        head: head model.
        skin_faces: faces whose color is fitted. [F]

    Returns:
        Visible pixels at least ``RIM_PX`` away from the skin's and the frame's edges.
    """
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
    # The chain rule of the Jacobian needs the length that normalizing divides by.
    length = normal.norm(dim=-1).clamp_min(1e-6)
    observed = view.image[:, rows, columns].T
    return FacePixels(
        raster.face_id[rows, columns],
        raster.barycentric[rows, columns],
        torch.from_numpy(carried[:, :2].copy()),
        normal / length[:, None],
        length,
        observed,
        srgb_to_linear(observed),
        view.image_gradient[:, :, rows, columns].permute(2, 1, 0),
        (rows, columns),
    )


@dataclass(frozen=True)
class PhotometricResidual:
    """Observed minus predicted color of P pixels.

    Attributes:
        residual: differences of sRGB. [P, 3]
        weight: weights under which squares of the residuals sum up to absolute differences; 0
            where something covers the face. [P]
        mean_abs_error: mean absolute difference over the pixels that nothing covers.
    """

    residual: Tensor
    weight: Tensor
    mean_abs_error: float


def compute_photometric_residual(
    pixels: FacePixels, albedo: FaceAlbedo, lighting: Tensor
) -> PhotometricResidual:
    """Compute the photometric term of one frame.

    Args:
        pixels: skin of the frame.
        albedo: albedo of the face; its residual lowers the weight of texels that it explains badly.
        lighting: light of the frame, as in ``Track.lighting``. [9, 3]
    """
    color, spread = albedo.sample(pixels.uv)
    residual = pixels.observed - linear_to_srgb(color * shade_normals(pixels.normal, lighting))
    size = residual.abs().mean(-1)
    uncovered = ~torch.from_numpy(
        _near_covered_mask(pixels.pixel_indices, (size >= OCCLUSION_COLOR_DIFFERENCE).numpy())
    )
    # Iteratively reweighted least squares: r squared over the last |r| is |r|. The mean over
    # pixels, so that a near face counts no more than a far one.
    weight = (
        uncovered
        / size.clamp_min(HUBER_THRESHOLD)
        * (MIN_COLOR_RESIDUAL / spread)
        / max(len(pixels), 1)
    )
    mean = float((size * uncovered).sum() / uncovered.sum().clamp_min(1))
    return PhotometricResidual(residual, weight, mean)


def _near_covered_mask(
    pixel_indices: tuple[NDArray, NDArray], covered: NDArray[np.bool_]
) -> NDArray[np.bool_]:
    """Which of P pixels lie within ``RIM_PX`` of a covered one, whose edge blurs over them. [P]"""
    if not covered.any():
        return covered
    image = np.zeros((VIEW_SIZE_PX, VIEW_SIZE_PX), bool)
    image[pixel_indices] = covered
    return binary_dilation(image, np.ones((3, 3)), RIM_PX)[pixel_indices]


def compute_photometric_jacobian(
    pixels: FacePixels, albedo: FaceAlbedo, lighting: Tensor
) -> NDArray[np.float32]:  # [P, 3, 5]
    """Compute the derivatives of each pixel's residual by x, y (px of the view) and normal.

    The pixel is taken for a point of the face that stays the same while it moves: the picture under
    it changes, and the light on it; its albedo does not.

    Args:
        pixels: skin of the frame.
        albedo: albedo of the face.
        lighting: light of the frame, as in ``Track.lighting``. [9, 3]

    Returns:
        Derivatives [color, value]. [P, 3, 5]
    """
    color, _ = albedo.sample(pixels.uv)
    gain = linear_to_srgb_derivative(color * shade_normals(pixels.normal, lighting)) * color
    by_unit_normal = compute_shading_jacobian(pixels.normal, lighting)
    # From the unit normal to the interpolated one: n / |n| has the derivative (I - n n') / |n|.
    along = by_unit_normal @ pixels.normal[:, :, None]
    by_normal = (by_unit_normal - along * pixels.normal[:, None]) / (
        pixels.normal_length[:, None, None]
    )
    return torch.cat([pixels.image_gradient, -gain[..., None] * by_normal], -1).numpy()


class LandmarkTerm:
    """The landmark term: squared distances in the picture over the face's size.

    Args:
        head: head model with the landmarks' places.
    """

    def __init__(self, head: HeadModel) -> None:
        self._ids = head.landmark_ids
        self._corners = head.faces[head.landmark_faces]
        self._barycentric = head.landmark_barycentric
        lips = np.isin(self._ids, OUTER_LIPS + INNER_LIPS)
        self._precision = np.where(lips, LIP_PRECISION, LANDMARK_PRECISION)[:, None]

    def build_equations(
        self, values: NDArray, vertex_jacobian: NDArray, target: NDArray, camera: Camera
    ) -> tuple[NDArray, NDArray]:
        """Build the Gauss-Newton equations of one frame's landmarks.

        Args:
            values: projected vertices: x, y (px from the principal point) and normal. [V, 5]
            vertex_jacobian: their derivatives by the parameters. [V, 5, D]
            target: detected landmarks, px. [478, 3]
            camera: camera of the frame.

        Returns:
            J'J [D, D] and J'r [D], residuals measured in standard deviations.
        """
        detected = target[self._ids, :2] - [camera.cx, camera.cy]
        # Precisions are per face size: the diagonal of the landmarks' box.
        precision = self._precision / np.linalg.norm(np.ptp(detected, axis=0))
        at = np.einsum("lk,lkv->lv", self._barycentric, values[self._corners, POSITION_VALUES])
        residual = ((at - detected) * precision).ravel()
        moved = np.einsum(
            "lk,lkvd->lvd", self._barycentric, vertex_jacobian[self._corners, POSITION_VALUES]
        )
        jacobian = (moved * precision[..., None]).reshape(len(residual), -1).astype(np.float32)
        normal = (jacobian.T @ jacobian).astype(np.float64)
        return normal, (jacobian.T @ residual.astype(np.float32)).astype(np.float64)

    def compute_loss(self, values: Tensor, target: NDArray, camera: Camera) -> Tensor:
        """Compute half the sum of squares of N frames' landmarks, with gradients.

        Args:
            values: projected vertices: x, y (px from the principal point) and normal. [N, V, 5]
            target: detected landmarks, px. [N, 478, 3]
            camera: camera of the frames.
        """
        detected = target[:, self._ids, :2] - [camera.cx, camera.cy]
        size = np.linalg.norm(np.ptp(detected, axis=1), axis=-1)
        precision = values.new_tensor(self._precision[None] / size[:, None, None])
        weights = values.new_tensor(self._barycentric)[..., None]
        corners = torch.from_numpy(self._corners.astype(np.int64))
        at = (values[:, corners, POSITION_VALUES] * weights).sum(2)
        return 0.5 * (((at - values.new_tensor(detected)) * precision) ** 2).sum()
