"""The face's skin, painted into the head model's texture space."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.draw import polygon2mask

from dubfew.reconstruction.heads.head_model import HeadModel
from dubfew.reconstruction.heads.landmark_indices import INNER_LIPS, OUTER_LIPS
from dubfew.reconstruction.rasterizer.raster import interpolate, rasterise
from dubfew.synthetic.eyes import EYES
from dubfew.synthetic.noise import cloud_noise, smooth_noise
from dubfew.synthetic.parts import FACE_VERTICES
from dubfew.synthetic.traits import Traits

# Lower and upper edge of the brows, from the outer end inwards.
BROWS = (
    ((46, 53, 52, 65, 55), (70, 63, 105, 66, 107)),
    ((276, 283, 282, 295, 285), (300, 293, 334, 296, 336)),
)
NOSTRILS: tuple[tuple[int, ...], ...] = ((79, 20, 60, 166, 238), (309, 250, 290, 392, 458))
SMILE_LINES: tuple[tuple[int, ...], ...] = ((129, 203, 206, 216), (358, 423, 426, 436))
LID_CREASES: tuple[tuple[int, ...], ...] = (
    (247, 30, 29, 27, 28, 56, 190),
    (467, 260, 259, 257, 258, 286, 414),
)
FOREHEAD_LINES: tuple[tuple[int, ...], ...] = (
    (54, 68, 104, 69, 108, 151, 337, 299, 333, 298, 284),
)

Field = NDArray[np.float32]


@dataclass(frozen=True)
class Canvas:
    """Texture space of a head model.

    Attributes:
        size: width and height, px.
        uv: of the face's vertices, px. [468, 2]
        place: where on the mean head each texel lies, m. [size, size, 3]
        template: the mean head's face. [468, 3]
    """

    size: int
    uv: NDArray[np.float64]
    place: Field
    template: Field

    @property
    def scale(self) -> float:
        """Texels per 0.27 mm of skin, the unit that brush sizes are given in."""
        return 0.76 * self.size / 1024

    def spot(self, centre: NDArray, radius: tuple[float, float, float] | float) -> Field:
        """Soft spot, 1 at a place of the mean head, radius in m per axis. [size, size]"""
        distance = ((self.place - centre.astype(np.float32)) / np.asarray(radius, np.float32)) ** 2
        return np.exp(-distance.sum(-1))

    def at(self, *landmarks: int) -> NDArray:
        """Mean place of landmarks on the mean head. [3]"""
        return self.template[list(landmarks)].mean(0)

    def area(self, ring: tuple[int, ...], soft: float) -> Field:
        """Inside of a ring of landmarks, its edge softened by ``soft`` px. [size, size]"""
        mask = polygon2mask((self.size, self.size), smooth_line(self.uv[list(ring)], True)[:, ::-1])
        return ndimage.gaussian_filter(mask.astype(np.float32), soft)

    def line(self, points: tuple[int, ...], width: float, closed: bool = False) -> Field:
        """Soft line through landmarks, 1 in its middle. [size, size]"""
        ink = np.zeros((self.size, self.size), np.float32)
        path = smooth_line(self.uv[list(points)], closed, 400)
        splat(ink, path, np.ones(len(path)))
        blurred = ndimage.gaussian_filter(ink, width)
        return np.clip(blurred / (np.percentile(blurred[ink > 0], 50) + 1e-9), 0, 1)


def face_uv(head: HeadModel, size: int) -> NDArray[np.float64]:
    """Texture positions of the face's vertices, px: the head model's own, drawn towards the
    middle, so that the skin around the face has room. [468, 2]"""
    return (0.13 + 0.74 * head.uv[:FACE_VERTICES].astype(np.float64)) * size


def canvas(head: HeadModel, size: int) -> Canvas:
    """Unroll the mean head. Texels outside the mesh take the nearest texel's place."""
    faces = head.faces[(head.faces < FACE_VERTICES).all(1)]
    uv = face_uv(head, size)
    flat = np.concatenate([uv, np.ones((len(uv), 1))], 1).astype(np.float32)
    template = head.template[:FACE_VERTICES]
    raster = rasterise(flat, faces, size, size)
    place = interpolate(raster, faces, template)
    nearest = ndimage.distance_transform_edt(
        ~raster.covered, return_distances=False, return_indices=True
    )
    return Canvas(size, uv, place[tuple(nearest)], template)


def smooth_line(points: NDArray, closed: bool, samples: int = 160) -> NDArray[np.float64]:
    """Catmull-Rom curve through points [K, 2]. [samples, 2]"""
    count = len(points)
    reach = np.arange(-1, count + 2)
    padded = points[reach % count] if closed else points[np.clip(reach, 0, count - 1)]
    t = np.linspace(0, count if closed else count - 1, samples, endpoint=not closed)
    index = np.minimum(t.astype(int), count - (0 if closed else 2) - (1 if closed else 0))
    s = (t - index)[:, None]
    a, b, c, d = (padded[index + k] for k in range(4))
    return b + 0.5 * s * (c - a + s * (2 * a - 5 * b + 4 * c - d + s * (3 * (b - c) + d - a)))


def splat(image: Field, points: NDArray, weights: NDArray) -> None:
    """Add weights [M] at points [M, 2] (x, y px), spread over four texels; in place."""
    height, width = image.shape
    x = np.clip(points[:, 0] - 0.5, 0, width - 1.001)
    y = np.clip(points[:, 1] - 0.5, 0, height - 1.001)
    column, row = x.astype(int), y.astype(int)
    fx, fy = x - column, y - row
    for dy, wy in ((0, 1 - fy), (1, fy)):
        for dx, wx in ((0, 1 - fx), (1, fx)):
            np.add.at(image, (row + dy, column + dx), (wx * wy * weights).astype(np.float32))


def strands(
    size: int, roots: NDArray, angles: NDArray, lengths: NDArray, bend: NDArray, density: float
) -> Field:
    """Hairs as curved lines that thin out towards their tips.

    Args:
        size: of the texture, px.
        roots: px. [M, 2]
        angles: direction at the root, rad, 0 to the right, clockwise. [M]
        lengths: px. [M]
        bend: change of angle along the hair, rad. [M]
        density: opacity of one hair.

    Returns:
        Opacity in [0, 1]. [size, size]
    """
    steps = 28
    t = np.linspace(0, 1, steps)
    heading = angles[:, None] + bend[:, None] * t
    step = lengths[:, None] / steps
    x = roots[:, :1] + np.cumsum(np.cos(heading) * step, 1)
    y = roots[:, 1:] + np.cumsum(np.sin(heading) * step, 1)
    ink = np.zeros((size, size), np.float32)
    weight = np.tile(density * (1 - t**2) * 1.0, (len(roots), 1)) * step
    splat(ink, np.stack([x.ravel(), y.ravel()], 1), weight.ravel())
    return (1 - np.exp(-ink)).astype(np.float32)


def brow_opacity(c: Canvas, traits: Traits, rng: np.random.Generator) -> Field:
    """Two brows of single hairs. [size, size]"""
    scale = c.scale
    total = np.zeros((c.size, c.size), np.float32)
    for side, (lower, upper) in enumerate(BROWS):
        count = int(1150 * traits.brow)
        along = rng.beta(1.15, 1.0, count)  # 0 at the outer end
        across = np.clip(rng.normal(0.5, 0.22, count), 0, 1)
        bottom = smooth_line(c.uv[list(lower)], False, 200)[(along * 199).astype(int)]
        top = smooth_line(c.uv[list(upper)], False, 200)[(along * 199).astype(int)]
        thick = 0.45 + 0.35 * np.sin(np.pi * np.clip(along * 0.75 + 0.2, 0, 1)) * traits.brow
        roots = bottom + (top - bottom) * (0.25 + thick * 1.25 * (across - 0.35))[:, None]
        # Hairs lie outwards, near the nose they stand up.
        outward = np.pi if side == 0 else 0.0
        sign = 1.0 if side == 0 else -1.0
        angles = outward + sign * (0.25 + 1.05 * along**2.2) + rng.normal(0, 0.16, count)
        lengths = rng.uniform(11, 23, count) * scale * (0.65 + 0.35 * traits.brow)
        bend = -sign * rng.uniform(0.1, 0.5, count)
        total = np.maximum(total, strands(c.size, roots, angles, lengths, bend, 0.55))
    return ndimage.gaussian_filter(total, 0.6 * scale)


def beard_region(c: Canvas) -> Field:
    """Where a beard grows: cheeks' lower part, jaw, chin, upper lip. [size, size]"""
    x, y = np.abs(c.place[..., 0]), c.place[..., 1]
    mouth = c.at(13, 14)
    edge = (
        mouth[1]
        + 0.012
        - 0.012 * np.exp(-(((x - 0.03) / 0.012) ** 2))
        + 0.35 * np.clip(x - 0.035, 0, 1)
    )
    region = 1 / (1 + np.exp((y - edge) / 0.0022))
    philtrum = 1 / (1 + np.exp((y - (c.at(2)[1] - 0.004)) / 0.0012))
    centre = np.exp(-((x / 0.027) ** 6))
    region = np.maximum(region * (1 - centre), np.minimum(philtrum, 1) * centre)
    soul = 1 - 0.6 * c.spot(c.at(18) + np.array([0.012, 0, 0]), 0.006)
    soul -= 0.6 * c.spot(c.at(18) - np.array([0.012, 0, 0]), 0.006)
    return (region * soul * (1 - c.area(OUTER_LIPS, 2.0)) * (1 - c.area(INNER_LIPS, 2.0))).astype(
        np.float32
    )


def beard_opacity(c: Canvas, traits: Traits, region: Field, rng: np.random.Generator) -> Field:
    """A full beard of single hairs. [size, size]"""
    count = int(26000 * traits.beard)
    cumulative = np.cumsum((region**1.5).ravel())
    index = np.searchsorted(cumulative, rng.uniform(0, cumulative[-1], count))
    rows, columns = np.divmod(index, c.size)
    roots = np.stack([columns, rows], 1) + rng.uniform(0, 1, (count, 2))
    outward = (roots[:, 0] - c.size / 2) / c.size
    angles = np.pi / 2 - 1.4 * outward + rng.normal(0, 0.35, count)
    lengths = rng.uniform(9, 26, count) * c.scale
    return strands(c.size, roots, angles, lengths, rng.normal(0, 0.5, count), 0.30)


def paint_face(c: Canvas, traits: Traits, rng: np.random.Generator) -> Field:
    """Albedo, opacity and gloss of the face.

    Returns:
        Linear RGB, alpha (1), gloss. [size, size, 5]
    """
    size, scale = c.size, c.scale
    skin = np.broadcast_to(traits.skin, (size, size, 3)).astype(np.float32).copy()
    gloss = np.full((size, size), 0.42, np.float32)

    def blend(colour: NDArray, share: Field) -> None:
        skin[:] = skin * (1 - share[..., None]) + colour.astype(np.float32) * share[..., None]

    def darken(share: Field, tone: tuple[float, float, float] = (1.0, 1.15, 1.2)) -> None:
        skin[:] = skin * np.exp(-share[..., None] * np.asarray(tone, np.float32))

    # Blood and shadow under the skin, in large soft areas.
    cheeks = c.spot(c.at(50, 205), 0.022) + c.spot(c.at(280, 425), 0.022)
    red = 0.55 * cheeks + 0.6 * c.spot(c.at(4), 0.014) + 0.35 * c.spot(c.at(152, 199), 0.016)
    red += 0.3 * cloud_noise(rng, size, size, 90 * scale) * (0.4 + traits.age)
    darken(0.20 * red, (0.12, 1.0, 0.85))
    darken(0.045 * cloud_noise(rng, size, size, 160 * scale))
    for ring in EYES:
        below = c.at(ring[4]) + np.array([0, -0.007, 0])
        darken((0.16 + 0.20 * traits.age) * c.spot(below, (0.015, 0.006, 0.02)), (0.9, 1.1, 0.95))
        darken(0.22 * c.spot(c.at(ring[8]) + np.array([0, 0.004, 0]), 0.008))
        darken(0.12 * c.spot(c.at(ring[12]) + np.array([0, 0.004, 0]), (0.014, 0.006, 0.02)))

    # Pores, grain and creases; what sharpness is measured by.
    grain = smooth_noise(rng, size, size, 2.2 * scale) + 0.8 * smooth_noise(
        rng, size, size, 4.5 * scale
    )
    nose = c.spot(c.at(4, 1), (0.016, 0.022, 0.03)) + 0.6 * cheeks
    darken((0.030 + 0.020 * traits.age + 0.025 * nose) * grain)
    pores = ndimage.gaussian_filter(
        (rng.random((size, size)) < 0.012).astype(np.float32), 1.0 * scale
    )
    darken((0.5 + 1.3 * nose) * pores)
    for line in SMILE_LINES:
        darken((0.06 + 0.26 * traits.age) * c.line(line, 5.0 * scale))
    for line in LID_CREASES:
        darken(0.42 * c.line(line, 2.2 * scale), (0.9, 1.1, 1.1))
    for line in FOREHEAD_LINES:
        darken(0.22 * traits.age**2 * c.line(line, 2.5 * scale))
    _marks(c, traits, rng, darken)

    # Contact shadows that the coarse mesh does not show.
    for points in NOSTRILS:
        hole = c.spot(c.at(*points) + np.array([0, -0.0012, 0.001]), (0.0050, 0.0024, 0.0060))
        darken(3.2 * hole, (0.8, 1.1, 1.1))
    darken(0.30 * c.spot(c.at(18), (0.016, 0.0035, 0.02)))
    darken(0.22 * (c.spot(c.at(129), 0.005) + c.spot(c.at(358), 0.005)))
    darken(0.35 * c.spot(c.at(2, 94), (0.012, 0.0030, 0.010)))

    _lips(c, traits, rng, skin, gloss, darken)
    region = beard_region(c)
    if traits.stubble:
        darken(0.42 * traits.stubble * region, (1.05, 1.0, 0.85))
        dots = (rng.random((size, size)) < 0.10).astype(np.float32)
        dots = np.clip(ndimage.gaussian_filter(dots, 0.8 * scale) * 3.2, 0, 1)
        blend(traits.hair * 0.8, 0.75 * traits.stubble * dots * region)
    if traits.beard:
        blend(traits.hair, 0.93 * beard_opacity(c, traits, region, rng))
    blend(traits.hair * 0.75, 0.92 * brow_opacity(c, traits, rng))
    for ring in EYES:  # lashes; the upper lid's are thicker
        darken(1.5 * c.line(ring, 1.5 * scale, closed=True), (0.9, 1.0, 1.0))
        darken(1.9 * c.line(ring[8:] + ring[:1], 2.1 * scale), (0.9, 1.0, 1.0))
        blend(traits.skin * np.array([0.95, 0.62, 0.6]), 0.6 * c.spot(c.at(ring[8]), 0.0022))

    gloss += 0.30 * c.spot(c.at(4), 0.012) + 0.22 * c.spot(c.at(151, 9), (0.03, 0.02, 0.03))
    gloss *= 1 + 0.20 * grain
    return np.concatenate(
        [np.clip(skin, 0.001, 1), np.ones((size, size, 1), np.float32), gloss[..., None]], 2
    ).astype(np.float32)


def _marks(c: Canvas, traits: Traits, rng: np.random.Generator, darken) -> None:
    """Freckles and a few moles."""
    size, scale = c.size, c.scale
    dots = np.zeros((size, size), np.float32)
    if traits.freckles:
        count = int(500 * traits.freckles)
        centre = np.array([size / 2, c.uv[195, 1]])
        points = centre + rng.normal(0, 1, (count, 2)) * np.array([150, 75]) * scale
        splat(dots, points, rng.uniform(2, 9, count))
        darken(ndimage.gaussian_filter(dots, 1.5 * scale) * 1.1, (0.5, 1.0, 1.3))
    for _ in range(int(rng.integers(0, 5))):
        spot = np.zeros((size, size), np.float32)
        place = c.uv[rng.integers(0, FACE_VERTICES)] + rng.normal(0, 5, 2)
        splat(spot, place[None], np.ones(1))
        radius = rng.uniform(1.5, 3.2) * scale
        darken(ndimage.gaussian_filter(spot, radius) * 6.28 * radius**2 * 1.1, (0.8, 1.1, 1.2))


def _lips(c: Canvas, traits: Traits, rng: np.random.Generator, skin, gloss, darken) -> None:
    """Red of the lips with its upright lines, darker where the lips meet."""
    size, scale = c.size, c.scale
    share = np.clip(c.area(OUTER_LIPS, 2.6 * scale), 0, 1)[..., None] * 0.93
    skin[:] = skin * (1 - share) + traits.lips.astype(np.float32) * share
    share = share[..., 0]
    lines = smooth_noise(rng, size, size, (26 * scale, 3.2 * scale))
    furrows = np.clip(smooth_noise(rng, size, size, (34 * scale, 2.6 * scale)) - 0.7, 0, 2)
    darken(share * (0.07 * lines + 0.28 * furrows))
    # A thin pale rim outlines the lips.
    darken(-0.09 * c.line(OUTER_LIPS, 3.0 * scale, closed=True) * (1 - share))
    darken(0.70 * c.line(INNER_LIPS, 2.6 * scale, closed=True), (0.8, 1.1, 1.1))
    corners = c.spot(c.at(61, 78), 0.0035) + c.spot(c.at(291, 308), 0.0035)
    darken(0.75 * corners, (0.9, 1.1, 1.1))
    gloss += share * (0.75 - 0.25 * lines * 0.5 - 0.5 * np.clip(furrows, 0, 1))
