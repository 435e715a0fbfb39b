"""The texture of a whole person: face, hair, eyes, cloth, neck skin and mouth in one atlas."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from dubfew.reconstruction.heads.head_model import HeadModel
from dubfew.synthetic.canvas import FloatImage, make_canvas
from dubfew.synthetic.eyes import IRIS_RADIUS_FRACTION, PUPIL_RADIUS_FRACTION
from dubfew.synthetic.hair import HAIR_MAX_POLAR_RADIANS, hairline_polar_angle
from dubfew.synthetic.noise import fractal_noise, smooth_noise
from dubfew.synthetic.parts import (
    ATLAS_HEIGHT,
    ATLAS_WIDTH,
    CLOTH_TILE,
    EYE_TILE,
    FACE_TILE,
    HAIR_TILE,
    MOUTH_TILE,
    SKIN_TILE,
)
from dubfew.synthetic.skin import paint_face
from dubfew.synthetic.traits import PersonTraits


def paint_atlas(head: HeadModel, traits: PersonTraits, rng: np.random.Generator) -> FloatImage:
    """Paint the texture of every material.

    Args:
        head: head model that has the face's texture coordinates.
        traits: colors, age and hair.
        rng: source of every detail.

    Returns:
        Linear RGB, alpha and gloss. [ATLAS_HEIGHT, ATLAS_WIDTH, 5]
    """
    atlas = np.zeros((ATLAS_HEIGHT, ATLAS_WIDTH, 5), np.float32)
    for tile, texture in (
        (FACE_TILE, paint_face(make_canvas(head, FACE_TILE[2]), traits, rng)),
        (HAIR_TILE, _paint_hair(traits, rng)),
        (EYE_TILE, _paint_eye(traits, rng)),
        (CLOTH_TILE, _paint_cloth(traits, rng)),
        (SKIN_TILE, _paint_skin(traits, rng)),
        (MOUTH_TILE, _paint_mouth(rng)),
    ):
        left, top, width, height = tile
        atlas[top : top + height, left : left + width] = texture
    return atlas


def _stack_channels(color: NDArray, alpha: NDArray | float, gloss: NDArray | float) -> FloatImage:
    """A texture of color [H, W, 3], alpha and gloss ([H, W] or one value). [H, W, 5]"""
    shape = color.shape[:2]
    return np.concatenate(
        [
            np.clip(color, 0.0005, 1),
            np.broadcast_to(alpha, shape)[..., None],
            np.broadcast_to(gloss, shape)[..., None],
        ],
        axis=2,
    ).astype(np.float32)


def _paint_hair(traits: PersonTraits, rng: np.random.Generator) -> FloatImage:
    """Paint strands of hair: the cap in the upper half, hair that hangs in the lower half."""
    _, _, width, height = HAIR_TILE
    half = height // 2
    # Single hairs, thicker strands and locks: noise that is long along the hair and narrow across.
    fine = smooth_noise(rng, height, width, (90, 1.4)) + 0.7 * smooth_noise(
        rng, height, width, (140, 5)
    )
    locks = smooth_noise(rng, height, width, (200, 16))
    color = traits.hair_color * np.exp(0.30 * fine + 0.28 * locks)[..., None]
    # Alpha ends the cap at the hairline, raggedly, and thins out the tips of hanging hair.
    polar = (np.arange(half) + 0.5)[:, None] / half * HAIR_MAX_POLAR_RADIANS
    azimuth = ((np.arange(width) + 0.5) / width - 0.5) * 2 * np.pi
    edge = hairline_polar_angle(azimuth, traits.hairline_shift)
    ragged = 0.030 * smooth_noise(rng, half, width, (300, 2.0)) + 0.035 * smooth_noise(
        rng, half, width, (300, 14)
    )
    cap = np.clip((edge + ragged - polar) / 0.055, 0, 1)
    tips = (
        0.90 + 0.05 * smooth_noise(rng, half, width, (400, 3)) - (np.arange(half) / half)[:, None]
    )
    hanging = np.clip(tips / 0.06, 0, 1)
    # Light on hair lies in a band across the strands.
    band = np.exp(-(((polar - 0.75) / 0.28) ** 2)) * np.ones((half, width))
    gloss = np.concatenate([0.25 + 0.55 * band, np.full((half, width), 0.35)]) * np.exp(0.3 * fine)
    return _stack_channels(color, np.concatenate([cap, hanging]), np.clip(gloss, 0, 2))


def _paint_eye(traits: PersonTraits, rng: np.random.Generator) -> FloatImage:
    """Paint sclera, iris and pupil; x and y are in ball radii, the tile spans four."""
    _, _, width, height = EYE_TILE
    y, x = (np.mgrid[:height, :width] + 0.5) / height * 4 - 2
    radius, angle = np.hypot(x, y), np.arctan2(y, x)
    # Veins, and shade towards the rim.
    white = np.array([0.70, 0.64, 0.61])
    veins = np.clip(fractal_noise(rng, height, width, 20) - 0.6, 0, 2) * np.clip(radius - 0.5, 0, 1)
    color = white * (1 - 0.10 * veins[..., None] * np.array([0.3, 1.0, 1.0]))
    color *= (1 - 0.16 * np.clip(radius - 0.45, 0, 1) ** 1.5)[..., None]
    iris_radius, pupil_radius = IRIS_RADIUS_FRACTION, PUPIL_RADIUS_FRACTION
    # Rays: noise in polar coordinates. Then a bright ring around the pupil and a dark outer rim.
    rays = ndimage.map_coordinates(
        smooth_noise(rng, 64, 360, (30, 5)),
        [np.clip(radius / iris_radius, 0, 1) * 63, (angle / (2 * np.pi) + 0.5) * 359],
        order=1,
    )
    iris = traits.iris_color * np.exp(0.35 * rays)[..., None]
    iris = iris * (1 + 0.5 * np.exp(-(((radius - 0.27) / 0.07) ** 2)))[..., None]
    iris = iris * (1 - 0.75 * np.clip((radius - 0.38) / 0.105, 0, 1) ** 2)[..., None]
    inside = np.clip((iris_radius - radius) / 0.045 + 0.5, 0, 1)[..., None]
    color = color * (1 - inside) + iris * inside
    pupil = np.clip((pupil_radius - radius) / 0.035 + 0.5, 0, 1)[..., None]
    color = color * (1 - pupil) + 0.004 * pupil
    # The key light's reflection, a little window up to the left.
    glint = np.clip(1.6 - np.hypot((x + 0.17) / 0.075, (y + 0.19) / 0.085), 0, 1)[..., None]
    return _stack_channels(color * (1 - glint) + 0.95 * glint, 1.0, 0.35)


def _paint_cloth(traits: PersonTraits, rng: np.random.Generator) -> FloatImage:
    """Paint the shirt: pattern, weave and a ribbed collar."""
    _, _, width, height = CLOTH_TILE
    rows, columns = np.mgrid[:height, :width]
    first, second = traits.shirt_colors
    if traits.shirt_pattern == 1:
        share = (np.sin(rows * 2 * np.pi / 26) > 0.2).astype(float)
    elif traits.shirt_pattern == 2:
        share = 0.5 * (np.sin(rows * 2 * np.pi / 22) > 0.3) + 0.5 * (
            np.sin(columns * 2 * np.pi / 32) > 0.3
        )
    elif traits.shirt_pattern == 3:
        share = np.clip(0.5 + 0.35 * fractal_noise(rng, height, width, 6, 3), 0, 1)
    else:
        share = np.zeros((height, width))
    share = ndimage.gaussian_filter(share, 0.8)[..., None]
    share[:56] *= 0.25  # the collar is plain
    weave = 0.05 * smooth_noise(rng, height, width, 1.5) + 0.09 * fractal_noise(
        rng, height, width, 60
    )
    rib = 0.10 * np.sin(columns * 2 * np.pi / 5) * (rows < 52)
    return _stack_channels(
        (first * (1 - share) + second * share) * np.exp(weave + rib)[..., None], 1.0, 0.1
    )


def _paint_skin(traits: PersonTraits, rng: np.random.Generator) -> FloatImage:
    """Paint the skin of neck and ears; the face's own is ``skin.paint_face``."""
    _, _, width, height = SKIN_TILE
    grain = 0.035 * smooth_noise(rng, height, width, 2.0) + 0.05 * fractal_noise(
        rng, height, width, 40
    )
    return _stack_channels(
        traits.skin_color * np.exp(-grain[..., None] * np.array([0.8, 1.1, 1.2])),
        1.0,
        0.4 + 0.1 * grain,
    )


def _paint_mouth(rng: np.random.Generator) -> FloatImage:
    """Paint streaks on nearly white; the tint of teeth, gums and tongue is their color."""
    _, _, width, height = MOUTH_TILE
    streaks = smooth_noise(rng, height, width, (20, 2.5)) * 0.025 + 0.02 * smooth_noise(
        rng, height, width, 5
    )
    return _stack_channels(
        np.repeat(np.clip(0.96 + streaks, 0, 1)[..., None], 3, 2), 1.0, 0.5 + 2 * streaks
    )
