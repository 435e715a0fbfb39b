"""Boxes and similarity transforms."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dubfew.errors import NoFaceError
from dubfew.evaluate.face_geometry import (
    LIP_POINTS,
    PixelBox,
    clip_mouth_box,
    face_boxes,
    fit_similarity_transform,
    mouth_opening,
)


def face_at(x: float, y: float, size: float = 100.0) -> np.ndarray:
    """Landmarks spread over a square face, eyes ``size / 2`` apart. [478, 3]"""
    rng = np.random.default_rng(0)
    face = rng.uniform(-size / 2, size / 2, (478, 3))
    face[33], face[263] = (-size / 4, 0, 0), (size / 4, 0, 0)
    face[:, 0] += x
    face[:, 1] += y
    return face.astype(np.float32)


def test_mouth_box_is_the_union_of_the_clip_enlarged():
    clip = np.zeros((2, 478, 3), np.float32)
    clip[0, LIP_POINTS, :2] = (100, 60)
    clip[1, LIP_POINTS, :2] = (120, 70)
    box = clip_mouth_box(clip, 200, 300)
    # 20 x 10 px about (110, 65), 1.4 times: 28 x 14.
    assert (box.left, box.top, box.right, box.bottom) == (96, 58, 124, 72)


def test_mouth_box_passes_over_frames_without_a_face():
    clip = np.stack([face_at(100, 100), np.full((478, 3), np.nan, np.float32)])
    assert clip_mouth_box(clip, 200, 200) == clip_mouth_box(clip[:1], 200, 200)


def test_no_face_at_all():
    clip = np.full((3, 478, 3), np.nan, np.float32)
    with pytest.raises(NoFaceError):
        clip_mouth_box(clip, 100, 100)
    assert face_boxes(clip, 100, 100) == [None, None, None]


@settings(max_examples=60, deadline=None)
@given(
    st.floats(-300, 600), st.floats(-300, 600), st.floats(1, 900),
    st.integers(8, 300), st.integers(8, 300),
)  # fmt: skip
def test_boxes_lie_inside_any_frame(x, y, size, height, width):
    clip = face_at(x, y, size)[None]
    for box in (clip_mouth_box(clip, height, width), *face_boxes(clip, height, width)):
        assert 0 <= box.left < box.right <= width
        assert 0 <= box.top < box.bottom <= height
    assert box.width == box.height  # the face crop stays square


def test_face_box_follows_the_head_and_not_the_jaw():
    clip = np.stack([face_at(150 + k, 150) for k in range(30)])
    boxes = face_boxes(clip, 400, 400)
    assert boxes[29].left - boxes[0].left == pytest.approx(29, abs=6)
    dropped = clip.copy()
    dropped[:, [152, 14, 17, 200], 1] += 40
    assert face_boxes(dropped, 400, 400) == boxes


@settings(max_examples=30, deadline=None)
@given(st.floats(-3, 3), st.floats(0.2, 4), st.floats(-50, 50), st.floats(-50, 50))
def test_similarity_is_recovered(angle, scale, dx, dy):
    points = np.random.default_rng(0).uniform(0, 100, (12, 2))
    turn = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    matrix = fit_similarity_transform(points, points @ turn.T + (dx, dy))
    np.testing.assert_allclose(matrix, np.column_stack([turn, (dx, dy)]), atol=1e-8)


def test_face_crop_takes_the_box_only():
    image = np.zeros((40, 60, 3), np.uint8)
    image[10:20, 30:40] = 90
    crop = PixelBox(30, 10, 40, 20).crop_resized(image, 256)
    assert crop.shape == (256, 256, 3)
    assert (crop == 90).all()


def test_opening_in_units_of_the_eye_distance():
    clip = np.stack([face_at(100, 100, 400.0)] * 3)  # eyes 200 px apart
    clip[:, 13, :2], clip[:, 14, :2] = (100, 150), (100, 200)
    np.testing.assert_allclose(mouth_opening(clip), 0.25, rtol=1e-6)
    np.testing.assert_allclose(mouth_opening(clip * 3), 0.25, rtol=1e-6)
