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
from dubfew.reconstruction.fitting.photometric.albedo import SMALLEST_SPREAD, Albedo
from dubfew.reconstruction.fitting.photometric.shading import (
    display_slope,
    shade,
    shade_slope,
    to_display,
    to_linear,
)
from dubfew.reconstruction.fitting.photometric.views import SIZE, View
from dubfew.reconstruction.heads.head_model import EYES, HeadModel
from dubfew.reconstruction.heads.landmark_indices import INNER_LIPS, OUTER_LIPS
from dubfew.reconstruction.rasterizer.raster import interpolate, rasterise
from dubfew.reconstruction.track import Camera

# Absolute differences of display colour smaller than this count as squares.
SMOOTH = 0.01
# Larger ones are another thing: a hand, hair, a highlight.
OCCLUDED = 0.25
# Pixels this near to the edge of what is looked at show something else too.
RIM = 2
# The looked-at part of a head: as seen from the front, within its landmarks.
HULL = 1.02


def face_part(head: HeadModel) -> NDArray[np.bool_]:
    """Faces whose colour the fit looks at: skin of the face, not mouth's inside, eyes, neck. [F]"""
    points = head.landmark_matrix() @ head.template
    middle = points.mean(0)
    hull = Delaunay((points[:, :2] - middle[:2]) * HULL)
    inside = hull.find_simplex(head.template[:, :2] - middle[:2]) >= 0
    inside &= head.template[:, 2] > points[:, 2].min() - 0.01  # not the back of the head
    if len(head.parents) > max(EYES):
        inside &= head.skin_weights[:, list(EYES)].sum(1) < 0.5
    return inside[head.faces].all(1) & ~head.mouth_inside[0]


@dataclass(frozen=True)
class Pixels:
    """What a picture shows of a face, P pixels.

    Attributes:
        face: that each shows. [P]
        barycentric: where on it. [P, 3]
        uv: [P, 2]
        normal: unit, view axes. [P, 3]
        length: of the interpolated normal that it was made from. [P]
        seen: colour, sRGB. [P, 3]
        linear: the same, linear. [P, 3]
        slopes: change of the picture's colour per px to the right and down. [P, 3, 2]
        place: row and column in the picture. [2, P]
    """

    face: NDArray[np.int32]
    barycentric: NDArray[np.float32]
    uv: Tensor
    normal: Tensor
    length: Tensor
    seen: Tensor
    linear: Tensor
    slopes: Tensor
    place: tuple[NDArray[np.int64], NDArray[np.int64]]

    def __len__(self) -> int:
        return len(self.face)


def in_view(values: NDArray, depth: NDArray, view: View, camera: Camera) -> NDArray[np.float32]:
    """Vertices in a view: x, y in its px, depth in m. [V, 3]"""
    x = (values[:, 0] + camera.cx - view.left) * view.scale
    y = (values[:, 1] + camera.cy - view.top) * view.scale
    return np.stack([x, y, depth], 1).astype(np.float32)


def look(
    view: View,
    values: NDArray,  # [V, 5]
    depth: NDArray,  # [V]
    camera: Camera,
    head: HeadModel,
    part: NDArray[np.bool_],  # [F]
) -> Pixels:
    """Pixels of a view that show a face's skin, for vertices as ``Geometry.show`` gives them."""
    raster = rasterise(in_view(values, depth, view, camera), head.faces, SIZE, SIZE)
    mask = raster.covered & part[raster.face_id] & view.seen
    rows, columns = np.nonzero(binary_erosion(mask, np.ones((3, 3)), RIM))
    carried = interpolate(
        raster, head.faces, np.concatenate([head.uv, values[:, 2:]], 1).astype(np.float32)
    )[rows, columns]
    normal = torch.from_numpy(carried[:, 2:].copy())
    length = normal.norm(dim=-1).clamp_min(1e-6)
    seen = view.picture[:, rows, columns].T
    return Pixels(
        raster.face_id[rows, columns],
        raster.barycentric[rows, columns],
        torch.from_numpy(carried[:, :2].copy()),
        normal / length[:, None],
        length,
        seen,
        to_linear(seen),
        view.slopes[:, :, rows, columns].permute(2, 1, 0),
        (rows, columns),
    )


@dataclass(frozen=True)
class Difference:
    """Seen minus predicted colour of P pixels.

    Attributes:
        residual: sRGB. [P, 3]
        weight: that makes squares of it absolute differences; 0 where something covers the face.
            [P]
        mean: absolute difference over the pixels that nothing covers.
    """

    residual: Tensor
    weight: Tensor
    mean: float


def difference(pixels: Pixels, albedo: Albedo, lighting: Tensor) -> Difference:
    """The photometric term of one frame."""
    colour, spread = albedo.at(pixels.uv)
    residual = pixels.seen - to_display(colour * shade(pixels.normal, lighting))
    size = residual.abs().mean(-1)
    kept = ~torch.from_numpy(_near(pixels.place, (size >= OCCLUDED).numpy()))
    weight = kept / size.clamp_min(SMOOTH) * (SMALLEST_SPREAD / spread) / max(len(pixels), 1)
    mean = float((size * kept).sum() / kept.sum().clamp_min(1))
    return Difference(residual, weight, mean)


def _near(place: tuple[NDArray, NDArray], covered: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Which of P pixels lie within ``RIM`` of a covered one: its edge is blurred over them. [P]"""
    if not covered.any():
        return covered
    image = np.zeros((SIZE, SIZE), bool)
    image[place] = covered
    return binary_dilation(image, np.ones((3, 3)), RIM)[place]


def difference_slopes(
    pixels: Pixels, albedo: Albedo, lighting: Tensor
) -> NDArray[np.float32]:  # [P, 3, 5]
    """Derivatives of each pixel's residual by x, y (px of the view) and normal.

    A point of the face stays the same point while it moves: the picture under it changes, and
    the light on it, its albedo does not.
    """
    colour, _ = albedo.at(pixels.uv)
    gain = display_slope(colour * shade(pixels.normal, lighting)) * colour
    slope = shade_slope(pixels.normal, lighting)
    # Only what is across the unit normal turns it.
    along = slope @ pixels.normal[:, :, None]
    across = (slope - along * pixels.normal[:, None]) / pixels.length[:, None, None]
    return torch.cat([pixels.slopes, -gain[..., None] * across], -1).numpy()


class Landmarks:
    """The landmark term: distances in the picture over the face's size, squared."""

    def __init__(self, head: HeadModel) -> None:
        self._ids = head.landmark_ids
        self._corners = head.faces[head.landmark_faces]
        self._barycentric = head.landmark_barycentric
        lips = np.isin(self._ids, OUTER_LIPS + INNER_LIPS)
        self._precision = np.where(lips, LIP_PRECISION, LANDMARK_PRECISION)[:, None]

    def equations(
        self, values: NDArray, slopes: NDArray, target: NDArray, camera: Camera
    ) -> tuple[NDArray, NDArray]:
        """J'J [D, D] and J'r [D] of one frame's landmarks [478, 3] (px)."""
        wanted = target[self._ids, :2] - [camera.cx, camera.cy]
        precision = self._precision / np.linalg.norm(np.ptp(wanted, axis=0))
        at = np.einsum("lk,lkv->lv", self._barycentric, values[self._corners, :2])
        residual = ((at - wanted) * precision).ravel()
        moved = np.einsum("lk,lkvd->lvd", self._barycentric, slopes[self._corners, :2])
        jacobian = (moved * precision[..., None]).reshape(len(residual), -1).astype(np.float32)
        normal = (jacobian.T @ jacobian).astype(np.float64)
        return normal, (jacobian.T @ residual.astype(np.float32)).astype(np.float64)
