"""Drawing in texture space: spots, curves and strands lie where they are put."""

from __future__ import annotations

import numpy as np
import pytest

from dubfew.reconstruction.heads.head_model import load_head_model
from dubfew.reconstruction.heads.landmark_indices import OUTER_LIPS
from dubfew.synthetic.canvas import (
    catmull_rom_curve,
    draw_strands,
    face_uv_px,
    make_canvas,
    splat_points,
)
from dubfew.synthetic.parts import NUM_FACE_VERTICES

SIZE = 128


@pytest.fixture(scope="module")
def canvas():
    return make_canvas(load_head_model(), SIZE)


def test_vertices_lie_inside_the_texture_with_room_around_them():
    uv = face_uv_px(load_head_model(), 100)
    assert uv.shape == (NUM_FACE_VERTICES, 2)
    assert uv.min() >= 13
    assert uv.max() <= 87


def test_every_texel_has_a_place_on_the_face(canvas):
    assert canvas.positions.shape == (SIZE, SIZE, 3)
    at = canvas.uv.astype(int)
    away = canvas.positions[at[:, 1], at[:, 0]] - canvas.template
    # A texel of 128 is about 2 mm wide.
    assert np.percentile(np.linalg.norm(away, axis=1), 90) < 0.004
    assert canvas.positions[0, 0] == pytest.approx(canvas.positions[1, 0], abs=1e-4)  # continued


def test_brushes_have_one_size_on_textures_of_any_size(canvas):
    assert make_canvas(load_head_model(), 64).brush_scale == pytest.approx(canvas.brush_scale / 2)


def test_spots_are_1_in_their_middle_and_fade_with_distance(canvas):
    nose = canvas.landmark_mean(4)
    spot = canvas.soft_spot(nose, 0.01)
    distance = np.linalg.norm(canvas.positions - nose, axis=-1)
    np.testing.assert_allclose(spot, np.exp(-((distance / 0.01) ** 2)), atol=1e-5)
    wide = canvas.soft_spot(nose, (0.03, 0.01, 0.01))
    assert (wide >= spot - 1e-6).all()


def test_rings_and_lines_follow_their_landmarks(canvas):
    mask = canvas.ring_mask(OUTER_LIPS, 0.5)
    x, y = canvas.uv[[13, 14]].mean(0).astype(int)
    assert mask[y, x] > 0.9
    assert mask[:20].max() < 1e-6
    line = canvas.soft_line(OUTER_LIPS, 1.0, closed=True)
    assert line.max() == 1
    at = canvas.uv[list(OUTER_LIPS)].astype(int)
    assert line[at[:, 1], at[:, 0]].min() > 0.5
    assert line[:20].max() < 1e-3


@pytest.mark.parametrize("closed", [False, True])
def test_curves_go_through_their_points(closed):
    points = np.array([[0.0, 0], [4, 1], [5, 5], [1, 6]])
    curve = catmull_rom_curve(points, closed, 4001)
    for point in points:
        assert np.linalg.norm(curve - point, axis=1).min() < 0.01
    ends = curve[[0, -1]]
    np.testing.assert_allclose(ends, points[[0, 0 if closed else 3]], atol=0.01)
    # Smooth: steps change little from sample to sample.
    steps = np.diff(curve, axis=0)
    assert np.abs(np.diff(steps, axis=0)).max() < 0.1 * np.abs(steps).max()


def test_curves_through_points_in_a_row_are_straight():
    curve = catmull_rom_curve(np.array([[0.0, 0], [1, 2], [2, 4], [3, 6]]), False, 50)
    np.testing.assert_allclose(curve[:, 1], 2 * curve[:, 0], atol=1e-12)


def test_splats_keep_their_weight_and_their_center():
    image = np.zeros((20, 30), np.float32)
    splat_points(image, np.array([[10.3, 7.9], [20.5, 3.5]]), np.array([2.0, 3.0]))
    assert image.sum() == pytest.approx(5)
    assert image[3, 20] == pytest.approx(3)  # on a texel's center
    near = image[5:11, 7:14]
    rows, columns = np.mgrid[5:11, 7:14] + 0.5
    assert (near * columns).sum() / 2 == pytest.approx(10.3, abs=1e-4)
    assert (near * rows).sum() / 2 == pytest.approx(7.9, abs=1e-4)


def test_splats_outside_are_put_on_the_border():
    image = np.zeros((8, 8), np.float32)
    splat_points(image, np.array([[-5.0, 100.0]]), np.ones(1))
    assert image[7, 0] == pytest.approx(1, abs=0.01)


def test_a_strand_runs_from_its_root_and_thins_out():
    zero = np.zeros(1)
    ink = draw_strands(64, np.array([[10.0, 32.0]]), zero, np.array([40.0]), zero, 0.8)
    assert ink.min() >= 0
    assert 0.3 < ink.max() < 1
    # To the right, on its row, and no farther than its length.
    assert ink[:30].max() == 0
    assert ink[35:].max() == 0
    assert ink[:, :9].max() == 0
    assert ink[:, 52:].max() == 0
    profile = ink[31:33].sum(0)
    assert profile[14:20].mean() > 1.3 * profile[40:46].mean()


def test_strands_bend_clockwise():
    down = draw_strands(
        64, np.array([[10.0, 10.0]]), np.zeros(1), np.array([40.0]), np.array([np.pi / 2]), 0.8
    )
    rows, _ = np.nonzero(down)
    assert rows.max() > 25  # y points downwards
