"""The face's skin, painted into the head model's texture space."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.draw import polygon2mask

from dubfew.reconstruction.heads.head_model import HeadModel
from dubfew.reconstruction.heads.landmark_indices import INNER_LIPS, OUTER_LIPS
from dubfew.reconstruction.rasterizer.raster import interpolate_attributes, rasterize_mesh
from dubfew.synthetic.eyes import EYE_RINGS
from dubfew.synthetic.noise import fractal_noise, smooth_noise
from dubfew.synthetic.parts import NUM_FACE_VERTICES
from dubfew.synthetic.traits import PersonTraits

# Lower and upper edge of the brows, from the outer end inwards.
BROW_EDGES = (
    ((46, 53, 52, 65, 55), (70, 63, 105, 66, 107)),
    ((276, 283, 282, 295, 285), (300, 293, 334, 296, 336)),
)
NOSTRIL_RINGS: tuple[tuple[int, ...], ...] = ((79, 20, 60, 166, 238), (309, 250, 290, 392, 458))
SMILE_LINES: tuple[tuple[int, ...], ...] = ((129, 203, 206, 216), (358, 423, 426, 436))
LID_CREASES: tuple[tuple[int, ...], ...] = (
    (247, 30, 29, 27, 28, 56, 190),
    (467, 260, 259, 257, 258, 286, 414),
)
FOREHEAD_LINES: tuple[tuple[int, ...], ...] = (
    (54, 68, 104, 69, 108, 151, 337, 299, 333, 298, 284),
)

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


def brow_opacity(
    canvas: TextureCanvas, traits: PersonTraits, rng: np.random.Generator
) -> FloatImage:
    """Two brows of single hairs. [size, size]"""
    scale = canvas.brush_scale
    total = np.zeros((canvas.size, canvas.size), np.float32)
    for side, (lower, upper) in enumerate(BROW_EDGES):
        count = int(1150 * traits.brow_thickness)
        along = rng.beta(1.15, 1.0, count)  # 0 at the outer end
        across = np.clip(rng.normal(0.5, 0.22, count), 0, 1)
        bottom = catmull_rom_curve(canvas.uv[list(lower)], False, 200)[(along * 199).astype(int)]
        top = catmull_rom_curve(canvas.uv[list(upper)], False, 200)[(along * 199).astype(int)]
        thick = (
            0.45 + 0.35 * np.sin(np.pi * np.clip(along * 0.75 + 0.2, 0, 1)) * traits.brow_thickness
        )
        roots = bottom + (top - bottom) * (0.25 + thick * 1.25 * (across - 0.35))[:, None]
        # Hairs lie outwards, near the nose they stand up.
        outward = np.pi if side == 0 else 0.0
        sign = 1.0 if side == 0 else -1.0
        angles = outward + sign * (0.25 + 1.05 * along**2.2) + rng.normal(0, 0.16, count)
        lengths = rng.uniform(11, 23, count) * scale * (0.65 + 0.35 * traits.brow_thickness)
        bend = -sign * rng.uniform(0.1, 0.5, count)
        total = np.maximum(total, draw_strands(canvas.size, roots, angles, lengths, bend, 0.55))
    return ndimage.gaussian_filter(total, 0.6 * scale)


def beard_region(canvas: TextureCanvas) -> FloatImage:
    """Where a beard grows: cheeks' lower part, jaw, chin, upper lip. [size, size]"""
    x, y = np.abs(canvas.positions[..., 0]), canvas.positions[..., 1]
    mouth = canvas.landmark_mean(13, 14)
    edge = (
        mouth[1]
        + 0.012
        - 0.012 * np.exp(-(((x - 0.03) / 0.012) ** 2))
        + 0.35 * np.clip(x - 0.035, 0, 1)
    )
    region = 1 / (1 + np.exp((y - edge) / 0.0022))
    philtrum = 1 / (1 + np.exp((y - (canvas.landmark_mean(2)[1] - 0.004)) / 0.0012))
    centre = np.exp(-((x / 0.027) ** 6))
    region = np.maximum(region * (1 - centre), np.minimum(philtrum, 1) * centre)
    soul = 1 - 0.6 * canvas.soft_spot(canvas.landmark_mean(18) + np.array([0.012, 0, 0]), 0.006)
    soul -= 0.6 * canvas.soft_spot(canvas.landmark_mean(18) - np.array([0.012, 0, 0]), 0.006)
    return (
        region
        * soul
        * (1 - canvas.ring_mask(OUTER_LIPS, 2.0))
        * (1 - canvas.ring_mask(INNER_LIPS, 2.0))
    ).astype(np.float32)


def beard_opacity(
    canvas: TextureCanvas, traits: PersonTraits, region: FloatImage, rng: np.random.Generator
) -> FloatImage:
    """A full beard of single hairs. [size, size]"""
    count = int(26000 * traits.beard)
    cumulative = np.cumsum((region**1.5).ravel())
    index = np.searchsorted(cumulative, rng.uniform(0, cumulative[-1], count))
    rows, columns = np.divmod(index, canvas.size)
    roots = np.stack([columns, rows], 1) + rng.uniform(0, 1, (count, 2))
    outward = (roots[:, 0] - canvas.size / 2) / canvas.size
    angles = np.pi / 2 - 1.4 * outward + rng.normal(0, 0.35, count)
    lengths = rng.uniform(9, 26, count) * canvas.brush_scale
    return draw_strands(canvas.size, roots, angles, lengths, rng.normal(0, 0.5, count), 0.30)


def paint_face(canvas: TextureCanvas, traits: PersonTraits, rng: np.random.Generator) -> FloatImage:
    """Albedo, opacity and gloss of the face.

    Returns:
        Linear RGB, alpha (1), gloss. [size, size, 5]
    """
    size, scale = canvas.size, canvas.brush_scale
    skin = np.broadcast_to(traits.skin_color, (size, size, 3)).astype(np.float32).copy()
    gloss = np.full((size, size), 0.42, np.float32)

    def blend(color: NDArray, opacity: FloatImage) -> None:
        skin[:] = skin * (1 - opacity[..., None]) + color.astype(np.float32) * opacity[..., None]

    def darken(amount: FloatImage, tone: tuple[float, float, float] = (1.0, 1.15, 1.2)) -> None:
        skin[:] = skin * np.exp(-amount[..., None] * np.asarray(tone, np.float32))

    # Blood and shadow under the skin, in large soft areas.
    cheeks = canvas.soft_spot(canvas.landmark_mean(50, 205), 0.022) + canvas.soft_spot(
        canvas.landmark_mean(280, 425), 0.022
    )
    red = (
        0.55 * cheeks
        + 0.6 * canvas.soft_spot(canvas.landmark_mean(4), 0.014)
        + 0.35 * canvas.soft_spot(canvas.landmark_mean(152, 199), 0.016)
    )
    red += 0.3 * fractal_noise(rng, size, size, 90 * scale) * (0.4 + traits.age)
    darken(0.20 * red, (0.12, 1.0, 0.85))
    darken(0.045 * fractal_noise(rng, size, size, 160 * scale))
    for ring in EYE_RINGS:
        below = canvas.landmark_mean(ring[4]) + np.array([0, -0.007, 0])
        darken(
            (0.16 + 0.20 * traits.age) * canvas.soft_spot(below, (0.015, 0.006, 0.02)),
            (0.9, 1.1, 0.95),
        )
        darken(
            0.22 * canvas.soft_spot(canvas.landmark_mean(ring[8]) + np.array([0, 0.004, 0]), 0.008)
        )
        darken(
            0.12
            * canvas.soft_spot(
                canvas.landmark_mean(ring[12]) + np.array([0, 0.004, 0]), (0.014, 0.006, 0.02)
            )
        )

    # Pores, grain and creases; what sharpness is measured by.
    grain = smooth_noise(rng, size, size, 2.2 * scale) + 0.8 * smooth_noise(
        rng, size, size, 4.5 * scale
    )
    nose = canvas.soft_spot(canvas.landmark_mean(4, 1), (0.016, 0.022, 0.03)) + 0.6 * cheeks
    darken((0.030 + 0.020 * traits.age + 0.025 * nose) * grain)
    pores = ndimage.gaussian_filter(
        (rng.random((size, size)) < 0.012).astype(np.float32), 1.0 * scale
    )
    darken((0.5 + 1.3 * nose) * pores)
    for line in SMILE_LINES:
        darken((0.06 + 0.26 * traits.age) * canvas.soft_line(line, 5.0 * scale))
    for line in LID_CREASES:
        darken(0.42 * canvas.soft_line(line, 2.2 * scale), (0.9, 1.1, 1.1))
    for line in FOREHEAD_LINES:
        darken(0.22 * traits.age**2 * canvas.soft_line(line, 2.5 * scale))
    _paint_freckles_and_moles(canvas, traits, rng, darken)

    # Contact shadows that the coarse mesh does not show.
    for points in NOSTRIL_RINGS:
        hole = canvas.soft_spot(
            canvas.landmark_mean(*points) + np.array([0, -0.0012, 0.001]), (0.0050, 0.0024, 0.0060)
        )
        darken(3.2 * hole, (0.8, 1.1, 1.1))
    darken(0.30 * canvas.soft_spot(canvas.landmark_mean(18), (0.016, 0.0035, 0.02)))
    darken(
        0.22
        * (
            canvas.soft_spot(canvas.landmark_mean(129), 0.005)
            + canvas.soft_spot(canvas.landmark_mean(358), 0.005)
        )
    )
    darken(0.35 * canvas.soft_spot(canvas.landmark_mean(2, 94), (0.012, 0.0030, 0.010)))

    _paint_lips(canvas, traits, rng, skin, gloss, darken)
    region = beard_region(canvas)
    if traits.stubble:
        darken(0.42 * traits.stubble * region, (1.05, 1.0, 0.85))
        dots = (rng.random((size, size)) < 0.10).astype(np.float32)
        dots = np.clip(ndimage.gaussian_filter(dots, 0.8 * scale) * 3.2, 0, 1)
        blend(traits.hair_color * 0.8, 0.75 * traits.stubble * dots * region)
    if traits.beard:
        blend(traits.hair_color, 0.93 * beard_opacity(canvas, traits, region, rng))
    blend(traits.hair_color * 0.75, 0.92 * brow_opacity(canvas, traits, rng))
    for ring in EYE_RINGS:  # lashes; the upper lid's are thicker
        darken(1.5 * canvas.soft_line(ring, 1.5 * scale, closed=True), (0.9, 1.0, 1.0))
        darken(1.9 * canvas.soft_line(ring[8:] + ring[:1], 2.1 * scale), (0.9, 1.0, 1.0))
        blend(
            traits.skin_color * np.array([0.95, 0.62, 0.6]),
            0.6 * canvas.soft_spot(canvas.landmark_mean(ring[8]), 0.0022),
        )

    gloss += 0.30 * canvas.soft_spot(canvas.landmark_mean(4), 0.012) + 0.22 * canvas.soft_spot(
        canvas.landmark_mean(151, 9), (0.03, 0.02, 0.03)
    )
    gloss *= 1 + 0.20 * grain
    return np.concatenate(
        [np.clip(skin, 0.001, 1), np.ones((size, size, 1), np.float32), gloss[..., None]], 2
    ).astype(np.float32)


def _paint_freckles_and_moles(
    canvas: TextureCanvas, traits: PersonTraits, rng: np.random.Generator, darken
) -> None:
    """Freckles and a few moles."""
    size, scale = canvas.size, canvas.brush_scale
    dots = np.zeros((size, size), np.float32)
    if traits.freckles:
        count = int(500 * traits.freckles)
        centre = np.array([size / 2, canvas.uv[195, 1]])
        points = centre + rng.normal(0, 1, (count, 2)) * np.array([150, 75]) * scale
        splat_points(dots, points, rng.uniform(2, 9, count))
        darken(ndimage.gaussian_filter(dots, 1.5 * scale) * 1.1, (0.5, 1.0, 1.3))
    for _ in range(int(rng.integers(0, 5))):
        spot = np.zeros((size, size), np.float32)
        place = canvas.uv[rng.integers(0, NUM_FACE_VERTICES)] + rng.normal(0, 5, 2)
        splat_points(spot, place[None], np.ones(1))
        radius = rng.uniform(1.5, 3.2) * scale
        darken(ndimage.gaussian_filter(spot, radius) * 6.28 * radius**2 * 1.1, (0.8, 1.1, 1.2))


def _paint_lips(
    canvas: TextureCanvas, traits: PersonTraits, rng: np.random.Generator, skin, gloss, darken
) -> None:
    """Red of the lips with its upright lines, darker where the lips meet."""
    size, scale = canvas.size, canvas.brush_scale
    share = np.clip(canvas.ring_mask(OUTER_LIPS, 2.6 * scale), 0, 1)[..., None] * 0.93
    skin[:] = skin * (1 - share) + traits.lip_color.astype(np.float32) * share
    share = share[..., 0]
    lines = smooth_noise(rng, size, size, (26 * scale, 3.2 * scale))
    furrows = np.clip(smooth_noise(rng, size, size, (34 * scale, 2.6 * scale)) - 0.7, 0, 2)
    darken(share * (0.07 * lines + 0.28 * furrows))
    # A thin pale rim outlines the lips.
    darken(-0.09 * canvas.soft_line(OUTER_LIPS, 3.0 * scale, closed=True) * (1 - share))
    darken(0.70 * canvas.soft_line(INNER_LIPS, 2.6 * scale, closed=True), (0.8, 1.1, 1.1))
    corners = canvas.soft_spot(canvas.landmark_mean(61, 78), 0.0035) + canvas.soft_spot(
        canvas.landmark_mean(291, 308), 0.0035
    )
    darken(0.75 * corners, (0.9, 1.1, 1.1))
    gloss += share * (0.75 - 0.25 * lines * 0.5 - 0.5 * np.clip(furrows, 0, 1))
