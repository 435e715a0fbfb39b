"""Painted skin: the traits decide where it is dark, red, hairy or glossy."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from dubfew.reconstruction.heads.head_model import load_head_model
from dubfew.reconstruction.heads.landmark_indices import OUTER_LIPS
from dubfew.synthetic.canvas import make_canvas
from dubfew.synthetic.facial_hair import BROW_EDGES, beard_opacity, beard_region, brow_opacity
from dubfew.synthetic.skin import _SkinLayers, paint_face
from dubfew.synthetic.traits import PersonTraits

SIZE = 128
CALM = PersonTraits(
    skin_color=np.array([0.6, 0.4, 0.3]),
    hair_color=np.array([0.02, 0.02, 0.02]),
    iris_color=np.array([0.1, 0.1, 0.1]),
    lip_color=np.array([0.4, 0.1, 0.1]),
    shirt_colors=np.array([[0.2, 0.2, 0.2], [0.4, 0.4, 0.4]]),
    shirt_pattern=0,
    freckles=0.0,
    age=0.0,
    stubble=0.0,
    beard=0.0,
    brow_thickness=1.0,
    hair_thickness=0.01,
    hair_length=0.0,
    hairline_shift=0.0,
    pitch_hz=120.0,
    tract_length=1.0,
)


@pytest.fixture(scope="module")
def canvas():
    return make_canvas(load_head_model(), SIZE)


def paint(canvas, **changes):
    return paint_face(canvas, replace(CALM, **changes), np.random.default_rng(0))


def window(canvas, image, *landmarks, radius=3):
    """Mean of an image around the middle of some landmarks."""
    x, y = canvas.uv[list(landmarks)].mean(0).astype(int)
    return image[y - radius : y + radius + 1, x - radius : x + radius + 1].mean((0, 1))


@pytest.fixture(scope="module")
def calm(canvas):
    return paint(canvas)


def test_albedo_is_physical_and_opaque(calm):
    assert calm.shape == (SIZE, SIZE, 5)
    assert calm.dtype == np.float32
    assert calm[..., :3].min() >= 0.001
    assert calm[..., :3].max() <= 1
    assert (calm[..., 3] == 1).all()
    assert (calm[..., 4] > 0).mean() > 0.999


def test_skin_has_its_color_where_nothing_else_is(canvas, calm):
    cheek = window(canvas, calm, 117)
    np.testing.assert_allclose(cheek[:3], CALM.skin_color, rtol=0.25)


@pytest.mark.slow
def test_seeds_decide_the_details_only(canvas, calm):
    again = paint_face(canvas, CALM, np.random.default_rng(0))
    other = paint_face(canvas, CALM, np.random.default_rng(1))
    np.testing.assert_array_equal(again, calm)
    assert 0.001 < np.abs(other - calm).mean() < 0.05


def test_lips_have_their_color_and_shine(canvas, calm):
    lips = window(canvas, calm, 17, radius=1)
    cheek = window(canvas, calm, 117)
    assert lips[0] / lips[1] > 1.3 * cheek[0] / cheek[1]
    assert lips[4] > cheek[4] + 0.3


def test_nostrils_are_dark(canvas, calm):
    assert window(canvas, calm, 79, 20, 60, 166, 238, radius=0)[:3].max() < 0.2


@pytest.mark.slow
def test_beard_and_stubble_grow_in_their_region(canvas, calm):
    region = beard_region(canvas)
    assert region.min() >= 0
    assert region.max() <= 1
    assert window(canvas, region, 152, 175) > 0.5  # chin
    assert window(canvas, region, 9) < 0.01  # brow
    assert window(canvas, region, 13, 14, radius=0) < 0.1  # lips
    for change in ({"stubble": 0.9}, {"beard": 1.0}):
        painted = paint(canvas, **change)
        darker = calm[..., :3].mean(-1) - painted[..., :3].mean(-1)
        assert window(canvas, darker, 152, 175) > 0.03
        assert abs(window(canvas, darker, 9)) < 0.01


@pytest.mark.slow
def test_fuller_beards_cover_more(canvas):
    region = beard_region(canvas)
    thin, full = (
        beard_opacity(canvas, replace(CALM, beard=beard), region, np.random.default_rng(0))
        for beard in (0.2, 1.0)
    )
    assert full.sum() > 2 * thin.sum()
    assert full.max() < 1


def test_brows_lie_between_their_edges_and_follow_their_thickness(canvas):
    thin, thick = (
        brow_opacity(canvas, replace(CALM, brow_thickness=width), np.random.default_rng(0))
        for width in (0.6, 1.3)
    )
    assert thick.sum() > 1.3 * thin.sum()
    for lower, upper in BROW_EDGES:
        assert window(canvas, thick, lower[2], upper[2], radius=1) > 0.1
    assert window(canvas, thick, 152) == 0  # chin
    # Both sides are as thick.
    left, right = thick[:, : SIZE // 2].sum(), thick[:, SIZE // 2 :].sum()
    assert left == pytest.approx(right, rel=0.1)


@pytest.mark.parametrize(("trait", "landmarks"), [("freckles", (195,)), ("age", (206, 203))])
def test_freckles_and_age_darken_nose_and_smile_lines(canvas, calm, trait, landmarks):
    painted = paint(canvas, **{trait: 1.0})
    darker = calm[..., :3].mean(-1) - painted[..., :3].mean(-1)
    assert window(canvas, darker, *landmarks) > 0.005


def test_lips_end_at_their_edge(canvas):
    red = paint(canvas, lip_color=np.array([0.4, 0.0, 0.0]))[..., 1]
    mask = canvas.ring_mask(OUTER_LIPS, 0.5)
    assert red[mask > 0.99].mean() < 0.3 * red[mask < 0.01].mean()


def test_a_layer_that_is_left_out_where_it_is_weak_does_the_same():
    layers = _SkinLayers(64, np.array([0.6, 0.4, 0.3]))
    before = layers.color.copy()
    rng = np.random.default_rng(0)
    amount = 10 ** rng.uniform(-12, 1, (64, 64)) * rng.choice([-1, 1], (64, 64))
    amount = amount.astype(np.float32)
    layers.darken(amount, (0.5, 1.0, 1.3))
    factor = np.exp(-amount[..., None] * np.array([0.5, 1.0, 1.3], np.float32))
    np.testing.assert_allclose(layers.color, before * factor, rtol=2e-7)
    assert (layers.color == before).any()
