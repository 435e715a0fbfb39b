"""Costs of renders are set against what was changed, and drawn."""

from __future__ import annotations

import os

import numpy as np
import pytest

if not hasattr(os, "wait4"):
    pytest.skip("the memory of a child needs wait4", allow_module_level=True)

from benchmarks.cost_plots import (
    Cost,
    draw_costs,
    milliseconds_per_frame,
    resize_face,
    scale_frame,
    tabulate_costs,
    tile_picture,
)
from benchmarks.speed_table import BORDER_LEVEL
from dubfew.media import Frame

COSTS = [
    Cost("start", 1, 1, 1, 4.0, 500, 0.5),
    Cost("length", 10, 10, 301, 34.0, 620, 0.5),
    Cost("length", 2, 2, 61, 10.0, 610, 0.5),
    Cost("people", 2, 2, 61, 13.0, 640, 0.5),
]


def test_the_start_does_not_count_as_cost_of_frames() -> None:
    assert milliseconds_per_frame(COSTS[1], 4.0) == pytest.approx(100)
    rows = tabulate_costs(COSTS)
    assert [row[1:5] for row in rows] == [
        ["2", 61, "100", "610"],
        ["10", 301, "100", "620"],
        ["2", 61, "150", "640"],
    ]


def test_people_stand_side_by_side() -> None:
    frame = Frame.from_rgb(np.full((40, 60, 3), 200, np.uint8))
    assert tile_picture(frame, 1, 1) is frame
    row = tile_picture(frame, 2, 0.4).to_rgb()[20, :, 1].astype(int)
    # Two copies of 24 px, around a quarter and three quarters of the width.
    assert abs(row[np.r_[5:25, 35:55]] - 200).max() < 4
    assert abs(row[[0, 1, 29, 30, 58, 59]] - BORDER_LEVEL).max() < 4
    small = scale_frame(frame, 30)
    assert (small.width, small.height) == (30, 20)


def test_a_large_face_has_a_larger_frame() -> None:
    rgb = np.full((40, 60, 3), 80, np.uint8)
    # "Face" of 6 x 4 px in the upper middle, of which the benchmark keeps the surroundings.
    rgb[10:14, 27:33] = 220
    frame = Frame.from_rgb(rgb)
    for factor, size, area in ((2, (60, 40), 96), (4, (120, 80), 384)):
        large = resize_face(frame, factor)
        assert (large.width, large.height) == size
        assert (large.to_rgb()[..., 1] > 150).sum() == pytest.approx(area, rel=0.15)


@pytest.mark.slow
def test_the_picture_has_a_pair_of_plots_for_each_series(tmp_path) -> None:
    path = tmp_path / "costs.svg"
    draw_costs(path, COSTS)
    text = path.read_text()
    for label in ("length of the scene, s", "people in the frame", "processor ms a frame"):
        assert text.count(label) == 1
    assert "width of the face" not in text
