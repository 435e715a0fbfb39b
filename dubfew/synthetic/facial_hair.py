"""Brows and beards, hair by hair."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from dubfew.reconstruction.heads.landmark_indices import INNER_LIPS, OUTER_LIPS
from dubfew.synthetic.canvas import FloatImage, TextureCanvas, catmull_rom_curve, draw_strands
from dubfew.synthetic.traits import PersonTraits

# Landmarks along the lower and the upper edge of each brow, from the outer end inwards; the brow on
# the image's left first.
BROW_EDGES = (
    ((46, 53, 52, 65, 55), (70, 63, 105, 66, 107)),
    ((276, 283, 282, 295, 285), (300, 293, 334, 296, 336)),
)


def brow_opacity(
    canvas: TextureCanvas, traits: PersonTraits, rng: np.random.Generator
) -> FloatImage:
    """Draw two brows of single hairs.

    Args:
        canvas: texture space of the head model.
        traits: their ``brow_thickness`` is used.
        rng: source of the hairs.

    Returns:
        Opacity in [0, 1]. [size, size]
    """
    scale = canvas.brush_scale
    total = np.zeros((canvas.size, canvas.size), np.float32)
    for side, (lower, upper) in enumerate(BROW_EDGES):
        # Roots lie between the brow's edges, densest in the middle and at the inner end.
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
    """Mark where a beard grows: lower cheeks, jaw, chin and upper lip. [size, size]"""
    x, y = np.abs(canvas.positions[..., 0]), canvas.positions[..., 1]
    mouth = canvas.landmark_mean(13, 14)
    # The upper edge of the cheeks' part, as a height over the distance from the middle: it dips
    # beside the mouth and rises towards the ears.
    edge = (
        mouth[1]
        + 0.012
        - 0.012 * np.exp(-(((x - 0.03) / 0.012) ** 2))
        + 0.35 * np.clip(x - 0.035, 0, 1)
    )
    region = 1 / (1 + np.exp((y - edge) / 0.0022))
    # Between nose and mouth it ends below the nose.
    philtrum = 1 / (1 + np.exp((y - (canvas.landmark_mean(2)[1] - 0.004)) / 0.0012))
    center = np.exp(-((x / 0.027) ** 6))
    region = np.maximum(region * (1 - center), np.minimum(philtrum, 1) * center)
    # Two thin patches beside the middle below the lower lip.
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
    """Draw a full beard of single hairs.

    Args:
        canvas: texture space of the head model.
        traits: their ``beard`` decides the number of hairs.
        region: where hairs may grow, as `beard_region` marks it. [size, size]
        rng: source of the hairs.

    Returns:
        Opacity in [0, 1]. [size, size]
    """
    count = int(26000 * traits.beard)
    # Texels are drawn with a probability that follows the region.
    cumulative = np.cumsum((region**1.5).ravel())
    index = np.searchsorted(cumulative, rng.uniform(0, cumulative[-1], count))
    rows, columns = np.divmod(index, canvas.size)
    roots = np.stack([columns, rows], 1) + rng.uniform(0, 1, (count, 2))
    # Hairs hang down and away from the middle.
    outward = (roots[:, 0] - canvas.size / 2) / canvas.size
    angles = np.pi / 2 - 1.4 * outward + rng.normal(0, 0.35, count)
    lengths = rng.uniform(9, 26, count) * canvas.brush_scale
    return draw_strands(canvas.size, roots, angles, lengths, rng.normal(0, 0.5, count), 0.30)
