"""Textures beside the face: hair that thins out at the hairline, eyes, cloth, neck and mouth."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from dubfew.synthetic.atlas import (
    _paint_cloth,
    _paint_eye,
    _paint_hair,
    _paint_mouth,
    _paint_skin,
)
from dubfew.synthetic.hair import HAIR_MAX_POLAR_RADIANS, hairline_polar_angle
from dubfew.synthetic.parts import CLOTH_TILE, EYE_TILE, HAIR_TILE, MOUTH_TILE, SKIN_TILE
from tests.synthetic.test_skin import CALM

PAINTERS = [
    (_paint_hair, HAIR_TILE),
    (_paint_eye, EYE_TILE),
    (_paint_cloth, CLOTH_TILE),
    (_paint_skin, SKIN_TILE),
    (lambda traits, rng: _paint_mouth(rng), MOUTH_TILE),
]


@pytest.mark.parametrize(("painter", "tile"), PAINTERS)
def test_textures_fit_their_tiles_and_are_physical(painter, tile):
    texture = painter(CALM, np.random.default_rng(0))
    assert texture.shape == (tile[3], tile[2], 5)
    assert texture.dtype == np.float32
    assert texture.min() >= 0
    assert texture[..., :4].max() <= 1
    np.testing.assert_array_equal(texture, painter(CALM, np.random.default_rng(0)))


@pytest.mark.parametrize("shift", [-0.1, 0.14])
def test_hair_is_cut_at_the_hairline(shift):
    texture = _paint_hair(replace(CALM, hairline_shift=shift), np.random.default_rng(0))
    height, width = HAIR_TILE[3] // 2, HAIR_TILE[2]
    alpha = texture[:height, :, 3]
    azimuth = ((np.arange(width) + 0.5) / width - 0.5) * 2 * np.pi
    edge = hairline_polar_angle(azimuth, shift)
    polar = (np.arange(height) + 0.5)[:, None] / height * HAIR_MAX_POLAR_RADIANS
    assert alpha[polar < edge - 0.3].min() > 0.9
    assert alpha[polar > edge + 0.3].max() < 0.1


def test_long_hair_thins_out_at_its_tips():
    texture = _paint_hair(CALM, np.random.default_rng(0))
    hanging = texture[HAIR_TILE[3] // 2 :, :, 3]
    assert hanging[:100].min() == 1
    assert hanging[-5:].mean() < 0.2


def test_eyes_have_a_dark_pupil_a_colored_iris_and_a_white():
    texture = _paint_eye(
        replace(CALM, iris_color=np.array([0.05, 0.2, 0.4])), np.random.default_rng(0)
    )
    height, width = texture.shape[:2]
    y, x = (np.mgrid[:height, :width] + 0.5) / height * 4 - 2
    radius, below = np.hypot(x, y), y > 0.1  # the lamp's reflection lies above
    pupil, iris, white = (
        texture[(low < radius) & (radius < high) & below][:, :3].mean(0)
        for low, high in ((0.0, 0.15), (0.3, 0.4), (0.7, 1.0))
    )
    assert pupil.max() < 0.05
    assert iris[2] > 2 * iris[0]
    assert white.min() > 0.4
    # The lamp's reflection.
    assert texture[np.hypot(x + 0.17, y + 0.19) < 0.04][:, :3].min() > 0.85


@pytest.mark.parametrize("pattern", [0, 1, 2, 3])
def test_shirts_have_their_two_colors_and_a_plain_collar(pattern):
    colors = np.array([[0.6, 0.1, 0.1], [0.1, 0.1, 0.6]])
    texture = _paint_cloth(
        replace(CALM, shirt_colors=colors, shirt_pattern=pattern), np.random.default_rng(0)
    )
    red, blue = texture[..., 0], texture[..., 2]
    second = (blue > red)[60:].mean()
    assert second == 0 if pattern == 0 else 0.02 < second < 0.98
    assert (red > blue)[:40].all()


def test_mouth_texture_is_nearly_white():
    texture = _paint_mouth(np.random.default_rng(0))
    assert texture[..., :3].mean() == pytest.approx(0.95, abs=0.02)
    assert texture[..., :3].std() < 0.05
