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

# The face's part of its texture: the head model's own layout is drawn towards the middle, so that
# the skin around the face has room at the borders.
FACE_UV_MARGIN, FACE_UV_SCALE = 0.13, 0.74
# Texels of a texture of 1024 px per 0.27 mm of skin, the unit that brush sizes are given in.
BRUSH_SCALE_AT_1024 = 0.76
# Squared distance, in radii, beyond which a spot is 0 in 32 bits.
MAX_SPOT_DISTANCE = np.float32(104)
# Points along a hair. Fewer show as dots, more cost time.
STEPS_PER_STRAND = 28


@dataclass(frozen=True)
class TextureCanvas:
    """Texture space of a head model, with the place on the mean head of every texel.

    Attributes:
        size: width and height, px.
        uv: places of the face's vertices in the texture, px. [468, 2]
        positions: places of the texels on the mean head, m. [size, size, 3]
        template: vertices of the mean head's face, m. [468, 3]
    """

    size: int
    uv: NDArray[np.float64]
    positions: FloatImage
    template: FloatImage

    @property
    def brush_scale(self) -> float:
        """Texels per 0.27 mm of skin, the unit that brush sizes are given in."""
        return BRUSH_SCALE_AT_1024 * self.size / 1024

    def soft_spot(self, center: NDArray, radius: tuple[float, float, float] | float) -> FloatImage:
        """Make a soft spot around a place of the mean head.

        Args:
            center: place on the mean head, m. [3]
            radius: distance at which the spot has faded to 1/e, m: one for all axes or one each.

        Returns:
            1 at the center, towards 0 with distance. [size, size]
        """
        scale = np.broadcast_to(np.asarray(radius, np.float32), 3)
        place = center.astype(np.float32)
        # Axis by axis: sums over a last axis of three are slow.
        x, y, z = (((self.positions[..., k] - place[k]) / scale[k]) ** 2 for k in range(3))
        distance = x + y + z
        spot = np.zeros_like(distance)
        near = distance < MAX_SPOT_DISTANCE
        spot[near] = np.exp(-distance[near])
        return spot

    def landmark_mean(self, *landmarks: int) -> NDArray:
        """Compute the mean place of landmarks on the mean head, m. [3]"""
        return self.template[list(landmarks)].mean(0)

    def ring_mask(self, ring: tuple[int, ...], blur_px: float) -> FloatImage:
        """Fill the inside of a ring of landmarks.

        Args:
            ring: landmarks in order around the region.
            blur_px: standard deviation of the blur of its edge, px.

        Returns:
            1 inside, 0 outside. [size, size]
        """
        mask = polygon2mask(
            (self.size, self.size), catmull_rom_curve(self.uv[list(ring)], True)[:, ::-1]
        )
        return ndimage.gaussian_filter(mask.astype(np.float32), blur_px)

    def soft_line(self, points: tuple[int, ...], width: float, closed: bool = False) -> FloatImage:
        """Draw a soft line through landmarks.

        Args:
            points: landmarks in order along the line.
            width: standard deviation of the line's profile, px.
            closed: join the last landmark to the first.

        Returns:
            1 in the line's middle, towards 0 with distance. [size, size]
        """
        ink = np.zeros((self.size, self.size), np.float32)
        path = catmull_rom_curve(self.uv[list(points)], closed, 400)
        splat_points(ink, path, np.ones(len(path)))
        blurred = ndimage.gaussian_filter(ink, width)
        # The path's samples are not evenly spaced: where they crowd, the line is clipped at 1.
        return np.clip(blurred / (np.percentile(blurred[ink > 0], 50) + 1e-9), 0, 1)


def face_uv_px(head: HeadModel, size: int) -> NDArray[np.float64]:
    """Compute the places of the face's vertices in the face's texture.

    Args:
        head: head model whose layout is used.
        size: width and height of the texture, px.

    Returns:
        Places in px. [468, 2]
    """
    uv = head.uv[:NUM_FACE_VERTICES].astype(np.float64)
    return (FACE_UV_MARGIN + FACE_UV_SCALE * uv) * size


def make_canvas(head: HeadModel, size: int) -> TextureCanvas:
    """Unroll the mean head of a model into a canvas.

    Args:
        head: head model.
        size: width and height of the texture, px.

    Returns:
        A canvas whose texels outside the face have the place of the nearest texel inside.
    """
    faces = head.faces[(head.faces < NUM_FACE_VERTICES).all(1)]
    uv = face_uv_px(head, size)
    # The texture is rasterized like a picture: a flat mesh at depth 1.
    flat = np.concatenate([uv, np.ones((len(uv), 1))], 1).astype(np.float32)
    template = head.template[:NUM_FACE_VERTICES]
    raster = rasterize_mesh(flat, faces, size, size)
    place = interpolate_attributes(raster, faces, template)
    nearest = ndimage.distance_transform_edt(
        ~raster.coverage, return_distances=False, return_indices=True
    )
    return TextureCanvas(size, uv, place[tuple(nearest)], template)


def catmull_rom_curve(points: NDArray, closed: bool, num_samples: int = 160) -> NDArray[np.float64]:
    """Sample a smooth curve through points.

    Args:
        points: points in order. [K, 2]
        closed: join the last point to the first.
        num_samples: number of points on the curve.

    Returns:
        Points on the curve, evenly spaced between each two points. [num_samples, 2]

    Source: Catmull and Rom 1974, "A Class of Local Interpolating Splines".
    """
    count = len(points)
    reach = np.arange(-1, count + 2)
    # One point before the first and two behind the last, around the ring or repeated.
    padded = points[reach % count] if closed else points[np.clip(reach, 0, count - 1)]
    t = np.linspace(0, count if closed else count - 1, num_samples, endpoint=not closed)
    index = np.minimum(t.astype(int), count - (0 if closed else 2) - (1 if closed else 0))
    s = (t - index)[:, None]
    a, b, c, d = (padded[index + k] for k in range(4))
    return b + 0.5 * s * (c - a + s * (2 * a - 5 * b + 4 * c - d + s * (3 * (b - c) + d - a)))


def splat_points(image: FloatImage, points: NDArray, weights: NDArray) -> None:
    """Add weights to an image at points between its texels, in place.

    Args:
        image: image to add to. [H, W]
        points: x, y in px; those outside are moved to the border. [M, 2]
        weights: each is shared among the four nearest texels. [M]
    """
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
    """Draw hairs as curved lines that thin out towards their tips.

    Args:
        size: width and height of the texture, px.
        roots: where hairs begin, x, y in px. [M, 2]
        angles: direction at the root, rad, 0 to the right, clockwise. [M]
        lengths: length of each hair, px. [M]
        bends: change of angle along the hair, rad. [M]
        density: ink per px of a hair's root; 1 makes it about 63 % opaque.

    Returns:
        Opacity in [0, 1]. [size, size]
    """
    t = np.linspace(0, 1, STEPS_PER_STRAND)
    heading = angles[:, None] + bends[:, None] * t
    step = lengths[:, None] / STEPS_PER_STRAND
    x = roots[:, :1] + np.cumsum(np.cos(heading) * step, 1)
    y = roots[:, 1:] + np.cumsum(np.sin(heading) * step, 1)
    ink = np.zeros((size, size), np.float32)
    weight = np.tile(density * (1 - t**2), (len(roots), 1)) * step
    splat_points(ink, np.stack([x.ravel(), y.ravel()], 1), weight.ravel())
    # Ink covers like a pigment: where hairs cross, opacity approaches 1 and never passes it.
    return (1 - np.exp(-ink)).astype(np.float32)
