from __future__ import annotations

import math

import numpy as np
import pytest

from dubfew.errors import ShapeError
from dubfew.evaluate.face_geometry import LIP_POINTS, freeze_lips, mouth_opening
from dubfew.evaluate.metrics.lmd import lip_landmark_distance
from tests.evaluate.metrics.examples import NUM_FRAMES, talking_head


def test_a_mouth_against_itself():
    clip = talking_head()
    assert lip_landmark_distance(clip, clip) == 0


def test_value_in_percent_of_the_eye_distance():
    clip = talking_head()
    moved = clip.copy()
    moved[:, LIP_POINTS, 0] += 3  # eye corners are 100 px apart
    moved[:, LIP_POINTS, 1] += 4
    moved[..., 2] += 50  # depth does not count
    assert lip_landmark_distance(clip, moved) == pytest.approx(5, abs=1e-4)


def test_frames_without_a_face_are_left_out():
    clip = talking_head()
    output = clip.copy()
    output[10:20] = np.nan
    assert lip_landmark_distance(clip, output) == 0
    assert math.isnan(lip_landmark_distance(clip, np.full_like(clip, np.nan)))


def test_still_mouth_is_carried_by_the_head_and_scores_badly():
    clip = talking_head()
    still = freeze_lips(clip)
    assert mouth_opening(still).std() < 1e-5
    assert mouth_opening(still).mean() < mouth_opening(clip).mean() / 2
    assert lip_landmark_distance(clip, still) > 0.1
    # A head that only drifts, with a mouth that truly does not move, is predicted exactly.
    drift = np.arange(NUM_FRAMES)[:, None, None] * np.float32(1)
    frozen = np.repeat(clip[:1], NUM_FRAMES, axis=0) + drift
    assert lip_landmark_distance(frozen, freeze_lips(frozen)) == pytest.approx(0, abs=1e-4)


def test_shape_error():
    clip = talking_head(3)
    with pytest.raises(ShapeError):
        lip_landmark_distance(clip, clip[1:])
