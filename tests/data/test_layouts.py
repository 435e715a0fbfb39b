"""Crop layouts: sizes, and that nothing tells how far the mouth is open."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from dubfew.data.layouts import LAYOUTS
from dubfew.reconstruction.heads.head_model import load_head_model
from tests.data.people import toy_track

SIZES = {
    "face256": (256, 256),
    "dinet64": (104, 80),
    "dinet128": (208, 160),
    "dinet256": (416, 320),
    "iptalker": (416, 320),
    "sidgan": (512, 512),
}


def test_the_layouts_have_the_papers_sizes():
    assert {n: (LAYOUTS[n].height, LAYOUTS[n].width) for n in LAYOUTS.names} == SIZES


@pytest.mark.parametrize("name", SIZES)
def test_box_and_mask_do_not_depend_on_the_jaw(name):
    head, track = load_head_model(), toy_track(2)
    opened = dataclasses.replace(track, jaw=track.jaw + np.array([0.3, 0, 0], np.float32))
    layout = LAYOUTS[name].shrunk(2)
    masks, boxes = [], []
    for each in (track, opened):
        geometry = layout.compute_geometry(each, head)
        boxes.append(geometry.boxes)
        masks.append(layout.render_mask(geometry, 1))
    np.testing.assert_array_equal(*boxes)
    np.testing.assert_array_equal(*masks)
    assert 0.05 < masks[0].mean() < 0.6


def test_the_mask_of_the_whole_face_holds_the_lips_and_not_the_eyes():
    head, track = load_head_model(), toy_track(1)
    layout = LAYOUTS["face256"]
    geometry = layout.compute_geometry(track, head)
    mask = layout.render_mask(geometry, 0)
    points = head.point_matrix((61, 291, 13, 17, 33, 263, 168)) @ geometry.mask_meshes[0, 1]
    column, row = layout.to_crop(points, geometry.boxes[0])[:, :2].astype(int).T
    assert mask[row, column].tolist() == [True] * 4 + [False] * 3


@pytest.mark.parametrize("name", ["face256", "dinet64"])
def test_the_opacity_fades_inside_of_the_mask(name):
    head, track = load_head_model(), toy_track(1)
    layout = LAYOUTS[name]
    geometry = layout.compute_geometry(track, head)
    mask, opacity = layout.render_mask(geometry, 0), layout.render_opacity(geometry, 0)
    assert opacity[~mask].max() == 0
    assert opacity.max() == 1
    assert 0.5 < (opacity > 0.99).sum() / mask.sum() < 1


def test_a_layout_is_shrunk_by_whole_numbers_only():
    assert LAYOUTS["dinet256"].shrunk(4).height == LAYOUTS["dinet64"].height
    with pytest.raises(ValueError, match="cannot be shrunk by 3"):
        LAYOUTS["face256"].shrunk(3)
