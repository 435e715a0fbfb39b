"""One person before a camera: what moves with the head, what with the body, what stays."""

from __future__ import annotations

import numpy as np
import pytest

from dubfew.reconstruction.track import Camera
from dubfew.synthetic.parts import CLOTH_TILE, FACE_TILE
from dubfew.synthetic.scene import PersonRenderer, sample_background
from tests.synthetic.toys import (
    BRIGHT,
    EVEN_LIGHT,
    flat_atlas,
    still_motion,
    with_atlas,
)

SIZE = 64
# Wider than a clip's camera: shoulders are in the picture too.
WIDE = Camera(1.2 * SIZE, SIZE / 2, SIZE / 2)
ATLAS = flat_atlas(face=(FACE_TILE, (BRIGHT, 0, 0)), cloth=(CLOTH_TILE, (0, BRIGHT, 0)))


@pytest.fixture(scope="module")
def renderer():
    background = np.zeros((SIZE, SIZE, 3), np.float32)
    return PersonRenderer(with_atlas(4, ATLAS), WIDE, EVEN_LIGHT, background)


def draw(renderer, **pose):
    return renderer.render_frame(still_motion(with_atlas(4, ATLAS), **pose).select(0))


def center(picture, channel):
    """Center of what is of one color, (x, y) px."""
    weight = np.clip(picture[..., channel] - picture[..., 1 - channel], 0, None)
    rows, columns = np.mgrid[:SIZE, :SIZE] + 0.5
    return np.array([(weight * columns).sum(), (weight * rows).sum()]) / weight.sum()


@pytest.mark.slow
def test_picture_is_srgb_in_range(renderer):
    picture = draw(renderer)
    assert picture.shape == (SIZE, SIZE, 3)
    assert picture.min() >= 0
    assert picture.max() < 1


def test_face_is_above_the_shirt_and_in_the_middle(renderer):
    picture = draw(renderer)
    face, shirt = center(picture, 0), center(picture, 1)
    assert face[0] == pytest.approx(SIZE / 2, abs=1.5)
    assert shirt[0] == pytest.approx(SIZE / 2, abs=1.5)
    assert face[1] < SIZE / 2 + 2 < shirt[1] - 10


def test_frames_do_not_depend_on_those_drawn_before(renderer):
    first = draw(renderer)
    draw(renderer, gaze=(0.3, 0.1), jaw=0.3, rotation=(0, 0.5, 0))
    np.testing.assert_array_equal(draw(renderer), first)


def test_head_turns_without_the_shoulders(renderer):
    still, turned = draw(renderer), draw(renderer, rotation=(0.0, 0.0, 0.25))
    lower = slice(SIZE - 8, None)
    np.testing.assert_allclose(turned[lower], still[lower], atol=1e-6)
    assert np.abs(turned[:36] - still[:36]).max() > 0.5


def test_shoulders_turn_without_the_face(renderer):
    still, turned = draw(renderer), draw(renderer, body_rotation=(0.0, 0.0, 0.2))
    face = slice(24, 34), slice(27, 37)
    np.testing.assert_allclose(turned[face], still[face], atol=1e-6)
    assert np.abs(turned[-12:] - still[-12:]).mean() > 0.01


def test_jaw_moves_the_lower_face_alone(renderer):
    still, opened = draw(renderer), draw(renderer, jaw=0.3)
    changed = np.abs(opened - still).max(-1) > 0.05
    rows = np.nonzero(changed.any(1))[0]
    assert rows.min() > SIZE / 2  # nothing above the nose
    assert rows.max() < SIZE / 2 + 16  # nor below the chin


def test_backgrounds_are_soft_in_range_and_differ():
    first, again, other = (
        sample_background(np.random.default_rng(seed), 48, 64) for seed in (0, 0, 1)
    )
    np.testing.assert_array_equal(first, again)
    assert np.abs(first - other).mean() > 0.01
    for picture in (first, other):
        assert picture.shape == (48, 64, 3)
        assert picture.dtype == np.float32
        assert picture.min() >= 0
        assert picture.max() <= 1
        # Out of focus: neighbors differ by little against the picture's own range.
        assert np.abs(np.diff(picture, axis=1)).max() < 0.35 * np.ptp(picture) + 0.02
