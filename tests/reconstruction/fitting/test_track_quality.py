from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from dubfew.reconstruction.fitting.track_quality import (
    frontal_eye_distance,
    measure_stability,
    second_difference,
)
from dubfew.reconstruction.heads.head_model import load_head_model
from tests.reconstruction.tracks import CAMERA, known_track

HEAD = load_head_model()


def test_error_is_the_distance_to_the_detector():
    track = known_track(shift=3.0)
    stability = measure_stability(track, HEAD)
    np.testing.assert_allclose(stability.error_px, 3.0, rtol=1e-4)
    np.testing.assert_allclose(stability.error, 3.0 / frontal_eye_distance(track, HEAD), rtol=1e-4)


def test_eye_distance_does_not_depend_on_the_head_pose():
    track = known_track(3)
    turned = replace(track, rotation=track.rotation + np.array([0, 0.8, 0], np.float32))
    corners = track.landmarks[0, [33, 263], :2]
    assert frontal_eye_distance(track, HEAD)[0] == pytest.approx(np.ptp(corners[:, 0]), rel=1e-3)
    np.testing.assert_allclose(
        frontal_eye_distance(turned, HEAD), frontal_eye_distance(track, HEAD), rtol=0.05
    )


def test_jitter_of_detector_and_of_track():
    track = known_track(shake=1.0)
    stability = measure_stability(track, HEAD)
    # Up, down, up: 1 - 2 * 0 + 1 = 2 px.
    expected = 2.0 / frontal_eye_distance(track, HEAD)[1:-1]
    np.testing.assert_allclose(stability.detector_jitter[1:-1], expected, rtol=1e-3)
    np.testing.assert_allclose(stability.jitter[1:-1], 0, atol=1e-6)
    assert stability.is_still.all()


def test_nothing_is_measured_over_cuts_gaps_and_ends():
    track = known_track(20, shake=1.0)
    shot = np.repeat([0, 1], 10).astype(np.int32)
    valid = np.ones(20, bool)
    valid[15] = False
    stability = measure_stability(replace(track, shot=shot, valid=valid), HEAD)
    missing = np.flatnonzero(~np.isfinite(stability.detector_jitter))
    np.testing.assert_array_equal(missing, [0, 9, 10, 14, 15, 16, 19])
    assert np.flatnonzero(~np.isfinite(stability.error)).tolist() == [15]


def test_a_moving_head_is_not_still():
    track = known_track(40)
    moved = track.translation.copy()
    moved[20:, 0] += 0.04 * np.sin(np.arange(20) / 3)
    still = measure_stability(replace(track, translation=moved.astype(np.float32)), HEAD).is_still
    assert still[:15].all()
    assert not still[20:30].any()


@pytest.mark.parametrize("n", [0, 1, 2, 3])
def test_second_difference_needs_three_frames(n):
    found = second_difference(np.zeros((n, 4, 2)))
    assert len(found) == n
    assert np.isfinite(found).sum() == max(0, n - 2)


def test_lips_are_projected_into_the_image():
    stability = measure_stability(known_track(2, shift=0.0), HEAD)
    assert CAMERA.cx == pytest.approx(stability.lip_points[0, [0, 10], 0].mean(), abs=1.0)
    assert (
        stability.lip_points[0, 25, 1] < stability.lip_points[0, 35, 1]
    )  # upper inner lip above the lower one
