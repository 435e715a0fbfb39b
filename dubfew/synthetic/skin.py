"""The face's skin, painted into the head model's texture space.

Layer after layer is laid over one color. Most layers take light away by an exponent per color, as
pigment and blood do, so that they look right on pale and on dark skin. All strengths are by eye.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from dubfew.reconstruction.heads.landmark_indices import INNER_LIPS, OUTER_LIPS
from dubfew.synthetic.canvas import FloatImage, TextureCanvas, splat_points
from dubfew.synthetic.eyes import EYE_RINGS
from dubfew.synthetic.facial_hair import beard_opacity, beard_region, brow_opacity
from dubfew.synthetic.noise import fractal_noise, smooth_noise
from dubfew.synthetic.parts import NUM_FACE_VERTICES, RgbColor
from dubfew.synthetic.traits import PersonTraits

# MediaPipe's landmarks of what is drawn along or around them, the image's left side first.
NOSTRIL_RINGS: tuple[tuple[int, ...], ...] = ((79, 20, 60, 166, 238), (309, 250, 290, 392, 458))
SMILE_LINES: tuple[tuple[int, ...], ...] = ((129, 203, 206, 216), (358, 423, 426, 436))
LID_CREASES: tuple[tuple[int, ...], ...] = (
    (247, 30, 29, 27, 28, 56, 190),
    (467, 260, 259, 257, 258, 286, 414),
)
FOREHEAD_LINES: tuple[tuple[int, ...], ...] = (
    (54, 68, 104, 69, 108, 151, 337, 299, 333, 298, 284),
)


# Gloss of plain skin, and what nose and forehead and lips add to it.
BASE_GLOSS, NOSE_GLOSS, FOREHEAD_GLOSS, LIP_GLOSS = 0.42, 0.30, 0.22, 0.75

# Amount of a layer below which 32 bits hold no effect: 2^-25 is half of the step below 1, and no
# tone is above 1.5.
NEGLIGIBLE_AMOUNT = 1.9e-8


class _SkinLayers:
    """Color [size, size, 3] and gloss [size, size] of a face, painted layer on layer in place."""

    def __init__(self, size: int, skin_color: NDArray) -> None:
        self.color = np.broadcast_to(skin_color, (size, size, 3)).astype(np.float32).copy()
        self.gloss = np.full((size, size), BASE_GLOSS, np.float32)

    def blend(self, color: NDArray, opacity: FloatImage) -> None:
        """Lay a color over the skin."""
        self.color[:] = (
            self.color * (1 - opacity[..., None]) + color.astype(np.float32) * opacity[..., None]
        )

    def darken(self, amount: FloatImage, tone: RgbColor = (1.0, 1.15, 1.2)) -> None:
        """Take light away as a pigment does, by ``exp(-amount * tone)`` per color."""
        # Most layers are small: elsewhere the factor is 1 to the last bit.
        touched = np.abs(amount) > NEGLIGIBLE_AMOUNT
        self.color[touched] *= np.exp(-amount[touched, None] * np.asarray(tone, np.float32))


def paint_face(canvas: TextureCanvas, traits: PersonTraits, rng: np.random.Generator) -> FloatImage:
    """Paint the face's albedo, opacity and gloss.

    Args:
        canvas: texture space of the head model.
        traits: colors, age, freckles, stubble and beard.
        rng: source of every detail.

    Returns:
        Linear RGB, alpha (1), gloss. [size, size, 5]
    """
    size = canvas.size
    layers = _SkinLayers(size, traits.skin_color)
    cheeks = canvas.soft_spot(canvas.landmark_mean(50, 205), 0.022) + canvas.soft_spot(
        canvas.landmark_mean(280, 425), 0.022
    )
    # From what lies deep in the skin to what lies on it.
    _paint_undertones(canvas, traits, rng, layers, cheeks)
    _paint_eye_shadows(canvas, traits, layers)
    grain = _paint_grain(canvas, traits, rng, layers, cheeks)
    _paint_creases(canvas, traits, layers)
    _paint_freckles_and_moles(canvas, traits, rng, layers)
    _paint_contact_shadows(canvas, layers)
    _paint_lips(canvas, traits, rng, layers)
    _paint_facial_hair(canvas, traits, rng, layers)
    _paint_lashes(canvas, traits, layers)
    # Nose and forehead shine; grain breaks the shine up.
    layers.gloss += NOSE_GLOSS * canvas.soft_spot(
        canvas.landmark_mean(4), 0.012
    ) + FOREHEAD_GLOSS * (canvas.soft_spot(canvas.landmark_mean(151, 9), (0.03, 0.02, 0.03)))
    layers.gloss *= 1 + 0.20 * grain
    opaque = np.ones((size, size, 1), np.float32)
    return np.concatenate(
        [np.clip(layers.color, 0.001, 1), opaque, layers.gloss[..., None]], 2
    ).astype(np.float32)


def _paint_undertones(
    canvas: TextureCanvas,
    traits: PersonTraits,
    rng: np.random.Generator,
    layers: _SkinLayers,
    cheeks: FloatImage,
) -> None:
    """Blood and shadow under the skin, in large soft areas."""
    size, scale = canvas.size, canvas.brush_scale
    red = (
        0.55 * cheeks
        + 0.6 * canvas.soft_spot(canvas.landmark_mean(4), 0.014)
        + 0.35 * canvas.soft_spot(canvas.landmark_mean(152, 199), 0.016)
    )
    red += 0.3 * fractal_noise(rng, size, size, 90 * scale) * (0.4 + traits.age)
    layers.darken(0.20 * red, (0.12, 1.0, 0.85))
    layers.darken(0.045 * fractal_noise(rng, size, size, 160 * scale))


def _paint_eye_shadows(canvas: TextureCanvas, traits: PersonTraits, layers: _SkinLayers) -> None:
    """Rings below the eyes, which grow with age, and shadows at inner corners and upper lids."""
    for ring in EYE_RINGS:
        below = canvas.landmark_mean(ring[4]) + np.array([0, -0.007, 0])
        layers.darken(
            (0.16 + 0.20 * traits.age) * canvas.soft_spot(below, (0.015, 0.006, 0.02)),
            (0.9, 1.1, 0.95),
        )
        layers.darken(
            0.22 * canvas.soft_spot(canvas.landmark_mean(ring[8]) + np.array([0, 0.004, 0]), 0.008)
        )
        layers.darken(
            0.12
            * canvas.soft_spot(
                canvas.landmark_mean(ring[12]) + np.array([0, 0.004, 0]), (0.014, 0.006, 0.02)
            )
        )


def _paint_grain(
    canvas: TextureCanvas,
    traits: PersonTraits,
    rng: np.random.Generator,
    layers: _SkinLayers,
    cheeks: FloatImage,
) -> FloatImage:
    """Pores and grain, the finest details of the face; returns the grain for the gloss."""
    size, scale = canvas.size, canvas.brush_scale
    grain = smooth_noise(rng, size, size, 2.2 * scale) + 0.8 * smooth_noise(
        rng, size, size, 4.5 * scale
    )
    nose = canvas.soft_spot(canvas.landmark_mean(4, 1), (0.016, 0.022, 0.03)) + 0.6 * cheeks
    layers.darken((0.030 + 0.020 * traits.age + 0.025 * nose) * grain)
    pores = ndimage.gaussian_filter(
        (rng.random((size, size)) < 0.012).astype(np.float32), 1.0 * scale
    )
    layers.darken((0.5 + 1.3 * nose) * pores)
    return grain


def _paint_creases(canvas: TextureCanvas, traits: PersonTraits, layers: _SkinLayers) -> None:
    """Lines beside the mouth, above the lids and on the forehead, deeper with age."""
    scale = canvas.brush_scale
    for line in SMILE_LINES:
        layers.darken((0.06 + 0.26 * traits.age) * canvas.soft_line(line, 5.0 * scale))
    for line in LID_CREASES:
        layers.darken(0.42 * canvas.soft_line(line, 2.2 * scale), (0.9, 1.1, 1.1))
    for line in FOREHEAD_LINES:
        layers.darken(0.22 * traits.age**2 * canvas.soft_line(line, 2.5 * scale))


def _paint_freckles_and_moles(
    canvas: TextureCanvas, traits: PersonTraits, rng: np.random.Generator, layers: _SkinLayers
) -> None:
    """Freckles across the nose, and up to four moles anywhere."""
    size, scale = canvas.size, canvas.brush_scale
    dots = np.zeros((size, size), np.float32)
    if traits.freckles:
        count = int(500 * traits.freckles)
        center = np.array([size / 2, canvas.uv[195, 1]])
        points = center + rng.normal(0, 1, (count, 2)) * np.array([150, 75]) * scale
        splat_points(dots, points, rng.uniform(2, 9, count))
        layers.darken(ndimage.gaussian_filter(dots, 1.5 * scale) * 1.1, (0.5, 1.0, 1.3))
    for _ in range(int(rng.integers(0, 5))):
        spot = np.zeros((size, size), np.float32)
        place = canvas.uv[rng.integers(0, NUM_FACE_VERTICES)] + rng.normal(0, 5, 2)
        splat_points(spot, place[None], np.ones(1))
        radius = rng.uniform(1.5, 3.2) * scale
        layers.darken(
            ndimage.gaussian_filter(spot, radius) * 6.28 * radius**2 * 1.1, (0.8, 1.1, 1.2)
        )


def _paint_contact_shadows(canvas: TextureCanvas, layers: _SkinLayers) -> None:
    """Shadows of nostrils, lower lip and nose, which the coarse mesh does not cast."""
    for points in NOSTRIL_RINGS:
        hole = canvas.soft_spot(
            canvas.landmark_mean(*points) + np.array([0, -0.0012, 0.001]), (0.0050, 0.0024, 0.0060)
        )
        layers.darken(3.2 * hole, (0.8, 1.1, 1.1))
    layers.darken(0.30 * canvas.soft_spot(canvas.landmark_mean(18), (0.016, 0.0035, 0.02)))
    layers.darken(
        0.22
        * (
            canvas.soft_spot(canvas.landmark_mean(129), 0.005)
            + canvas.soft_spot(canvas.landmark_mean(358), 0.005)
        )
    )
    layers.darken(0.35 * canvas.soft_spot(canvas.landmark_mean(2, 94), (0.012, 0.0030, 0.010)))


def _paint_lips(
    canvas: TextureCanvas, traits: PersonTraits, rng: np.random.Generator, layers: _SkinLayers
) -> None:
    """Red of the lips with upright lines and furrows, darker where they meet and at the corners."""
    size, scale = canvas.size, canvas.brush_scale
    opacity = np.clip(canvas.ring_mask(OUTER_LIPS, 2.6 * scale), 0, 1) * 0.93
    layers.blend(traits.lip_color, opacity)
    lines = smooth_noise(rng, size, size, (26 * scale, 3.2 * scale))
    furrows = np.clip(smooth_noise(rng, size, size, (34 * scale, 2.6 * scale)) - 0.7, 0, 2)
    layers.darken(opacity * (0.07 * lines + 0.28 * furrows))
    # A thin pale rim outlines the lips.
    layers.darken(-0.09 * canvas.soft_line(OUTER_LIPS, 3.0 * scale, closed=True) * (1 - opacity))
    layers.darken(0.70 * canvas.soft_line(INNER_LIPS, 2.6 * scale, closed=True), (0.8, 1.1, 1.1))
    corners = canvas.soft_spot(canvas.landmark_mean(61, 78), 0.0035) + canvas.soft_spot(
        canvas.landmark_mean(291, 308), 0.0035
    )
    layers.darken(0.75 * corners, (0.9, 1.1, 1.1))
    layers.gloss += opacity * (LIP_GLOSS - 0.25 * lines * 0.5 - 0.5 * np.clip(furrows, 0, 1))


def _paint_facial_hair(
    canvas: TextureCanvas, traits: PersonTraits, rng: np.random.Generator, layers: _SkinLayers
) -> None:
    """Stubble as a shadow with dots, a beard hair by hair, and brows."""
    size, scale = canvas.size, canvas.brush_scale
    region = beard_region(canvas)
    if traits.stubble:
        layers.darken(0.42 * traits.stubble * region, (1.05, 1.0, 0.85))
        dots = (rng.random((size, size)) < 0.10).astype(np.float32)
        dots = np.clip(ndimage.gaussian_filter(dots, 0.8 * scale) * 3.2, 0, 1)
        layers.blend(traits.hair_color * 0.8, 0.75 * traits.stubble * dots * region)
    if traits.beard:
        layers.blend(traits.hair_color, 0.93 * beard_opacity(canvas, traits, region, rng))
    layers.blend(traits.hair_color * 0.75, 0.92 * brow_opacity(canvas, traits, rng))


def _paint_lashes(canvas: TextureCanvas, traits: PersonTraits, layers: _SkinLayers) -> None:
    """Lashes around the eyes, thicker on the upper lids, and the pink of the inner corners."""
    scale = canvas.brush_scale
    for ring in EYE_RINGS:
        layers.darken(1.5 * canvas.soft_line(ring, 1.5 * scale, closed=True), (0.9, 1.0, 1.0))
        layers.darken(1.9 * canvas.soft_line(ring[8:] + ring[:1], 2.1 * scale), (0.9, 1.0, 1.0))
        layers.blend(
            traits.skin_color * np.array([0.95, 0.62, 0.6]),
            0.6 * canvas.soft_spot(canvas.landmark_mean(ring[8]), 0.0022),
        )
