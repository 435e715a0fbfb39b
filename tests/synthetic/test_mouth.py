"""The mouth's inside: teeth of human size, on one arch, behind the lips."""

from __future__ import annotations

import numpy as np
import pytest

from dubfew.reconstruction.heads.head_model import load_head_model
from dubfew.reconstruction.heads.landmark_indices import INNER_LIPS
from dubfew.synthetic.mouth import (
    LOWER_CROWN_HEIGHTS_METERS,
    LOWER_CROWN_WIDTHS_METERS,
    UPPER_CROWN_HEIGHTS_METERS,
    UPPER_CROWN_WIDTHS_METERS,
    _build_crown,
    _build_teeth,
    _dental_arch_points,
    build_mouth_interior,
)
from dubfew.synthetic.parts import MOUTH_TILE, NUM_FACE_VERTICES

CURVATURE = 18.0  # 1/m: an arch 20 mm deep at 33 mm from the middle
CROWN_VERTICES = 7 * 6


@pytest.fixture(scope="module")
def face():
    """The mean face with its lips closed. [468, 3]"""
    face = load_head_model().template[:NUM_FACE_VERTICES].astype(np.float64)
    face[list(INNER_LIPS), 1] = (face[13, 1] + face[14, 1]) / 2
    return face


def build_row(upper: bool, seed: int = 0):
    widths = UPPER_CROWN_WIDTHS_METERS if upper else LOWER_CROWN_WIDTHS_METERS
    heights = UPPER_CROWN_HEIGHTS_METERS if upper else LOWER_CROWN_HEIGHTS_METERS
    return _build_teeth(
        np.zeros(3), CURVATURE, widths, heights, 1.0 if upper else -1.0, 0.0 if upper else 1.0,
        np.ones(3), np.random.default_rng(seed),
    )  # fmt: skip


def crowns(teeth):
    """Vertices tooth by tooth, right side of the mouth first. [12, 42, 3]"""
    return teeth.rest_offset.reshape(-1, CROWN_VERTICES, 3).astype(float)


def test_arch_is_a_parabola_walked_along_by_length():
    distance = np.linspace(-0.03, 0.03, 61)
    x, z = _dental_arch_points(distance, CURVATURE)
    np.testing.assert_allclose(z, -CURVATURE * x**2, atol=1e-12)
    np.testing.assert_allclose(x, -x[::-1], atol=1e-12)
    walked = np.hypot(np.diff(x), np.diff(z))
    np.testing.assert_allclose(walked, 0.001, rtol=0.01)


@pytest.mark.parametrize("growth", [1.0, -1.0])
def test_a_crown_has_its_width_and_height(growth):
    crown = _build_crown(0.0, 0.0086, 0.0102, growth, CURVATURE)
    assert crown.shape == (CROWN_VERTICES, 3)
    assert np.ptp(crown[:, 0]) == pytest.approx(0.0086, rel=0.06)
    assert np.ptp(crown[:, 1]) == pytest.approx(0.0102, rel=0.06)
    assert np.sign(crown[-1, 1]) == growth  # the gum's end
    # Symmetric, and it bulges forwards.
    np.testing.assert_allclose(np.sort(crown[:, 0]), np.sort(-crown[:, 0]), atol=1e-9)
    assert crown[:, 2].max() > 0.001


@pytest.mark.parametrize("upper", [True, False])
def test_a_row_has_twelve_teeth_side_by_side(upper):
    teeth = build_row(upper)
    places = crowns(teeth)
    assert len(places) == 12
    widths = UPPER_CROWN_WIDTHS_METERS if upper else LOWER_CROWN_WIDTHS_METERS
    for side in (places[:6], places[6:]):
        middles = np.abs(side[..., 0].mean(1))
        assert (np.diff(middles) > 0.002).all()  # from the middle outwards
        # Neighbors touch, nearly: along the arch the middles are half of both widths apart.
        steps = np.linalg.norm(np.diff(side.mean(1)[:, [0, 2]], axis=0), axis=1)
        expected = (np.array(widths[1:]) + widths[:-1]) / 2
        np.testing.assert_allclose(steps, expected, atol=0.0012)
    np.testing.assert_allclose(
        places[:6, :, 0].mean(1), -places[6:, :, 0].mean(1), atol=0.0002
    )  # symmetric up to chance


def test_lower_teeth_turn_with_the_jaw_and_upper_ones_do_not():
    np.testing.assert_array_equal(build_row(upper=True).jaw_weight, 0)
    np.testing.assert_array_equal(build_row(upper=False).jaw_weight, 1)


def test_teeth_differ_from_person_to_person_by_little():
    first, other = crowns(build_row(True, 0)), crowns(build_row(True, 1))
    assert 1e-5 < np.abs(first - other).mean() < 0.001


def test_teeth_get_darker_towards_the_cheeks():
    tint = build_row(True).tint.reshape(12, CROWN_VERTICES, 3).mean((1, 2))
    assert (np.diff(tint[:6]) < 0.02).all()
    assert tint[5] < 0.6 * tint[0]


@pytest.mark.parametrize("seed", range(3))
def test_everything_lies_behind_closed_lips(face, seed):
    inside = build_mouth_interior(face, np.random.default_rng(seed))
    points = inside.face_weights @ face + inside.rest_offset
    lips = face[list(INNER_LIPS)]
    # The bag hangs on the lips; the rest is rigid and stays some millimeters behind them.
    rigid = np.asarray(np.abs(inside.face_weights).sum(1)).ravel() == 0
    assert rigid.mean() > 0.8
    assert points[rigid, 2].max() < lips[:, 2].max() - 0.002
    assert points[:, 2].max() < lips[:, 2].max()
    assert (np.abs(points[rigid, 0]) < np.abs(lips[:, 0]).max() + 0.02).all()
    left, top, width, height = MOUTH_TILE
    assert ((inside.uv > [left, top]) & (inside.uv < [left + width, top + height])).all()


def test_bag_follows_the_lips_and_its_bottom_stays(face):
    inside = build_mouth_interior(face, np.random.default_rng(0))
    opened = face.copy()
    opened[list(INNER_LIPS[11:]), 1] -= 0.01
    moved = inside.face_weights @ (opened - face)
    count = len(INNER_LIPS)
    np.testing.assert_allclose(moved[:count], (opened - face)[list(INNER_LIPS)], atol=1e-9)
    np.testing.assert_allclose(moved[5 * count : 6 * count], 0, atol=1e-9)
    # It darkens backwards.
    light = inside.tint[: 6 * count].reshape(6, count, 3).mean((1, 2))
    assert (np.diff(light) < 0).all()
