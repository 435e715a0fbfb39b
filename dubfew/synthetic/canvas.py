"""Drawing tools in a head model's texture space: spots, lines, curves and strands of hair."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.draw import polygon2mask

from dubfew.reconstruction.heads.head_model import HeadModel
from dubfew.reconstruction.rasterizer.interpolation import interpolate_attributes
from dubfew.reconstruction.rasterizer.raster import rasterize_mesh
from dubfew.synthetic.parts import NUM_FACE_VERTICES

FloatImage = NDArray[np.float32]


@dataclass(frozen=True)
class TextureCanvas:
    """Texture space of a head model.

    Attributes:
        size: width and height, px.
        uv: of the face's vertices, px. [468, 2]
        positions: where on the mean head each texel lies, m. [size, size, 3]
        template: the mean head's face. [468, 3]
    """

    size: int
    uv: NDArray[np.float64]
    positions: FloatImage
    template: FloatImage

    @property
    def brush_scale(self) -> float:
        """Texels per 0.27 mm of skin, the unit that brush sizes are given in."""
        return 0.76 * self.size / 1024

    def soft_spot(self, center: NDArray, radius: tuple[float, float, float] | float) -> FloatImage:
        """Soft spot, 1 at a place of the mean head, radius in m per axis. [size, size]"""
        distance = (
            (self.positions - center.astype(np.float32)) / np.asarray(radius, np.float32)
        ) ** 2
        return np.exp(-distance.sum(-1))

    def landmark_mean(self, *landmarks: int) -> NDArray:
        """Mean place of landmarks on the mean head. [3]"""
        return self.template[list(landmarks)].mean(0)

    def ring_mask(self, ring: tuple[int, ...], blur_px: float) -> FloatImage:
        """Inside of a ring of landmarks, its edge softened by ``blur_px`` px. [size, size]"""
        mask = polygon2mask(
            (self.size, self.size), catmull_rom_curve(self.uv[list(ring)], True)[:, ::-1]
        )
        return ndimage.gaussian_filter(mask.astype(np.float32), blur_px)

    def soft_line(self, points: tuple[int, ...], width: float, closed: bool = False) -> FloatImage:
        """Soft line through landmarks, 1 in its middle. [size, size]"""
        ink = np.zeros((self.size, self.size), np.float32)
        path = catmull_rom_curve(self.uv[list(points)], closed, 400)
        splat_points(ink, path, np.ones(len(path)))
        blurred = ndimage.gaussian_filter(ink, width)
        return np.clip(blurred / (np.percentile(blurred[ink > 0], 50) + 1e-9), 0, 1)


def face_uv_px(head: HeadModel, size: int) -> NDArray[np.float64]:
    """Texture positions of the face's vertices, px: the head model's own, drawn towards the
    middle, so that the skin around the face has room. [468, 2]"""
    return (0.13 + 0.74 * head.uv[:NUM_FACE_VERTICES].astype(np.float64)) * size


def make_canvas(head: HeadModel, size: int) -> TextureCanvas:
    """Unroll the mean head. Texels outside the mesh take the nearest texel's place."""
    faces = head.faces[(head.faces < NUM_FACE_VERTICES).all(1)]
    uv = face_uv_px(head, size)
    flat = np.concatenate([uv, np.ones((len(uv), 1))], 1).astype(np.float32)
    template = head.template[:NUM_FACE_VERTICES]
    raster = rasterize_mesh(flat, faces, size, size)
    place = interpolate_attributes(raster, faces, template)
    nearest = ndimage.distance_transform_edt(
        ~raster.coverage, return_distances=False, return_indices=True
    )
    return TextureCanvas(size, uv, place[tuple(nearest)], template)


def catmull_rom_curve(points: NDArray, closed: bool, num_samples: int = 160) -> NDArray[np.float64]:
    """Catmull-Rom curve through points [K, 2]. [samples, 2]"""
    count = len(points)
    reach = np.arange(-1, count + 2)
    padded = points[reach % count] if closed else points[np.clip(reach, 0, count - 1)]
    t = np.linspace(0, count if closed else count - 1, num_samples, endpoint=not closed)
    index = np.minimum(t.astype(int), count - (0 if closed else 2) - (1 if closed else 0))
    s = (t - index)[:, None]
    a, b, c, d = (padded[index + k] for k in range(4))
    return b + 0.5 * s * (c - a + s * (2 * a - 5 * b + 4 * c - d + s * (3 * (b - c) + d - a)))


def splat_points(image: FloatImage, points: NDArray, weights: NDArray) -> None:
    """Add weights [M] at points [M, 2] (x, y px), spread over four texels; in place."""
    height, width = image.shape
    x = np.clip(points[:, 0] - 0.5, 0, width - 1.001)
    y = np.clip(points[:, 1] - 0.5, 0, height - 1.001)
    column, row = x.astype(int), y.astype(int)
    fx, fy = x - column, y - row
    for dy, wy in ((0, 1 - fy), (1, fy)):
        for dx, wx in ((0, 1 - fx), (1, fx)):
            np.add.at(image, (row + dy, column + dx), (wx * wy * weights).astype(np.float32))


def draw_strands(
    size: int, roots: NDArray, angles: NDArray, lengths: NDArray, bends: NDArray, density: float
) -> FloatImage:
    """Hairs as curved lines that thin out towards their tips.

    Args:
        size: of the texture, px.
        roots: px. [M, 2]
        angles: direction at the root, rad, 0 to the right, clockwise. [M]
        lengths: px. [M]
        bends: change of angle along the hair, rad. [M]
        density: opacity of one hair.

    Returns:
        Opacity in [0, 1]. [size, size]
    """
    steps = 28
    t = np.linspace(0, 1, steps)
    heading = angles[:, None] + bends[:, None] * t
    step = lengths[:, None] / steps
    x = roots[:, :1] + np.cumsum(np.cos(heading) * step, 1)
    y = roots[:, 1:] + np.cumsum(np.sin(heading) * step, 1)
    ink = np.zeros((size, size), np.float32)
    weight = np.tile(density * (1 - t**2) * 1.0, (len(roots), 1)) * step
    splat_points(ink, np.stack([x.ravel(), y.ravel()], 1), weight.ravel())
    return (1 - np.exp(-ink)).astype(np.float32)
