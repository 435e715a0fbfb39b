"""Aligned pictures of faces."""

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.ndimage import gaussian_filter
from skimage.transform import estimate_transform, warp

from dubfew.reconstruction.heads.mica.crop import (
    ARCFACE_TEMPLATE_PX,
    FIVE_POINT_LANDMARK_IDS,
    align_face_chip,
    extract_five_points,
)
from dubfew.reconstruction.similarity_transform import fit_similarity_transform


def _landmarks(points):
    landmarks = np.zeros((478, 3), np.float32)
    for ids, point in zip(FIVE_POINT_LANDMARK_IDS, points, strict=True):
        landmarks[list(ids), :2] = point
    return landmarks


def _posed(angle, scale, shift):
    turn = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return ARCFACE_TEMPLATE_PX @ turn.T + shift


@pytest.mark.slow
@settings(max_examples=50, deadline=None)
@given(arrays(np.float64, (5, 2), elements=st.integers(0, 1000)))
def test_the_transform_is_skimage_s_estimate(points):
    assume(np.linalg.matrix_rank(points - points.mean(0)) == 2)
    found = estimate_transform("similarity", points, ARCFACE_TEMPLATE_PX)
    # Umeyama's method mirrors where that is nearer; ours is a turn for every set of points.
    assume(
        np.linalg.det(
            (points - points.mean(0)).T @ (ARCFACE_TEMPLATE_PX - ARCFACE_TEMPLATE_PX.mean(0))
        )
        > 0
    )
    np.testing.assert_allclose(
        fit_similarity_transform(points, ARCFACE_TEMPLATE_PX), found.params[:2], atol=1e-6
    )


def test_the_picture_is_what_skimage_warps():
    rng = np.random.default_rng(0)
    rgb = (gaussian_filter(rng.random((200, 260, 3)), (2, 2, 0)) * 255).astype(np.uint8)
    points = _posed(0.3, 1.4, (60, -50))
    # Its pixel centers are whole numbers, and the face reaches over the frame's upper edge.
    known = estimate_transform("similarity", points - 0.5, ARCFACE_TEMPLATE_PX - 0.5)
    expected = warp(
        rgb, known.inverse, output_shape=(112, 112), order=1, mode="constant", preserve_range=True
    )
    found = align_face_chip(rgb, _landmarks(points))
    assert found.dtype == np.uint8
    inside = warp(np.ones((200, 260)), known.inverse, output_shape=(112, 112), order=0) > 0
    assert 0.02 < (~inside).mean() < 0.5
    core = gaussian_filter(inside.astype(float), 1) > 0.999
    np.testing.assert_allclose(found[core], expected[core], atol=0.51)
    assert (found[gaussian_filter(inside.astype(float), 1) < 0.001] == 0).all()


def test_a_face_that_lies_right_is_not_resampled():
    rgb = np.random.default_rng(0).integers(0, 256, (112, 112, 3), np.uint8)
    np.testing.assert_array_equal(align_face_chip(rgb, _landmarks(ARCFACE_TEMPLATE_PX)), rgb)


def test_five_points_are_from_image_left_to_right():
    landmarks = np.zeros((2, 478, 3))
    landmarks[:, 33], landmarks[:, 133] = (10, 20, 5), (20, 22, 5)
    points = extract_five_points(landmarks)
    assert points.shape == (2, 5, 2)
    np.testing.assert_array_equal(points[0, 0], (15, 21))


def test_arcface_s_places_are_of_whole_pixel_centers():
    # The center of the pixel in column 56, row 56 is at (56.5, 56.5) here and at (56, 56) there.
    np.testing.assert_allclose(ARCFACE_TEMPLATE_PX[2], (56.5252, 72.2366))
    np.testing.assert_allclose(ARCFACE_TEMPLATE_PX.mean(0), (56.52616, 72.40078))
