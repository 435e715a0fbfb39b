from __future__ import annotations

import dataclasses
from fractions import Fraction

import numpy as np
import pytest

from dubfew.errors import NoFaceError
from dubfew.reconstruction.crop import (
    MASK_FEATHER_FRACTION,
    compute_track_regions,
    render_mouth_mask,
    render_region_mask,
    render_soft_mask,
)
from dubfew.reconstruction.detection.landmarks import FaceLandmarker
from dubfew.reconstruction.heads.head_model import load_head_model
from dubfew.reconstruction.projection import project_head_points
from dubfew.reconstruction.tracking import fit_track, track_video
from tests.reconstruction.fitting.test_landmark_fit import CAMERA, known_face


@pytest.fixture(scope="module")
def track():
    head, _, _, landmarks = known_face(9)
    landmarks = landmarks.copy()
    landmarks[[0, 4]] = np.nan
    return fit_track(
        landmarks,
        np.arange(9) / 25,
        head,
        CAMERA,
        fps=Fraction(25),
        frame_size=(512, 512),
        source="a test",
        sha256="",
    )


@pytest.mark.slow
def test_frames_without_a_face_are_marked_and_filled(track):
    np.testing.assert_array_equal(np.nonzero(~track.valid)[0], [0, 4])
    np.testing.assert_array_equal(track.rotation[0], track.rotation[1])
    assert np.isfinite(track.landmarks).all()


def test_a_clip_without_a_face_is_an_error():
    with pytest.raises(NoFaceError, match="no face found in clip"):
        fit_track(
            np.full((4, 478, 3), np.nan, np.float32),
            np.arange(4) / 25,
            load_head_model(),
            CAMERA,
            fps=Fraction(25),
            frame_size=(64, 64),
            source="clip",
            sha256="",
        )


def test_box_and_mask_are_independent_of_jaw_and_expression(track):
    head = load_head_model()
    talking = dataclasses.replace(
        track, jaw=track.jaw + np.float32(0.2), expression=track.expression * 3
    )
    for name in ("box", "window", "hull"):
        np.testing.assert_array_equal(
            getattr(compute_track_regions(track, head), name),
            getattr(compute_track_regions(talking, head), name),
        )


def test_mask_covers_an_open_mouth_and_lies_in_its_window(track):
    head = load_head_model()
    regions = compute_track_regions(track, head)
    for row in range(len(track)):
        left, top, side = regions.window[row]
        hull = regions.hull[row]
        assert (hull >= [left, top]).all()
        assert (hull <= [left + side, top + side]).all()
    mask = render_mouth_mask(track, head, 2, 512, 512)
    # Only a part of it was drawn, and nothing is missing, also where the frame ends in the hull.
    feather = MASK_FEATHER_FRACTION * float(regions.window[2, 2])
    for size in (512, int(regions.hull[2].mean())):
        whole = render_soft_mask(regions.hull[2], feather, 0.0, 0.0, 1.0, size, size)
        np.testing.assert_array_equal(render_region_mask(regions, 2, size, size), whole)
    x, y = np.round(track.landmarks[2, [61, 291, 13, 17], :2]).astype(int).T
    assert (mask[y, x] > 0.5).all()
    assert mask.max() == 1
    eyes = np.round(track.landmarks[2, [33, 263, 6], :2]).astype(int)
    assert (mask[eyes[:, 1], eyes[:, 0]] == 0).all()


def test_a_part_of_the_mask_equals_that_part_of_the_whole():
    square = np.repeat(
        np.array([[20, 20], [60, 20], [60, 60], [20, 60]], np.float32), [1, 1, 1, 45], axis=0
    )
    whole = render_soft_mask(square, 5.0, 0, 0, 1.0, 80, 80)
    part = render_soft_mask(square, 5.0, 30, 10, 1.0, 40, 20)
    np.testing.assert_array_equal(part, whole[10:50, 30:50])
    assert whole[:20].max() == 0
    assert whole[40, 40] == 1
    assert 0 < whole[40, 21] < whole[40, 23] < 1


def test_orientation_of_the_hull_does_not_matter():
    triangle = np.array([[10, 10], [50, 12], [30, 45]], np.float32)
    np.testing.assert_allclose(
        render_soft_mask(triangle, 4.0, 0, 0, 1.0, 60, 60),
        render_soft_mask(triangle[::-1].copy(), 4.0, 0, 0, 1.0, 60, 60),
        atol=1e-6,
    )


def test_a_blank_image_has_no_face():
    with FaceLandmarker(use_tracking=False) as landmarker:
        assert landmarker(np.full((120, 160, 3), 90, np.uint8)) is None


@pytest.mark.slow
def test_a_real_clip_is_tracked_in_every_frame(shared):
    track = track_video(shared / "clips" / "grid_bbaf2n.mpg")
    assert len(track) == 75
    assert track.valid.all()
    # The fitted head opens its mouth at the same time and as far as the detected landmarks.
    head = load_head_model()
    fitted = project_head_points(head.vertices(track.shape, track.expression, track.jaw), track)
    gap, detected_gap = (p[:, 13, :2] - p[:, 14, :2] for p in (fitted, track.landmarks))
    assert np.linalg.norm(gap - detected_gap, axis=1).max() < 0.5  # px; the widest gap is 8
