"""Metrics of the mouth opening: correlation, lag and spread."""

from __future__ import annotations

import math

import numpy as np
import pytest

from dubfew.errors import ShapeError
from dubfew.evaluate.metrics._mouth_opening import correlate_openings, find_opening_lag
from dubfew.evaluate.metrics.opening_spread import opening_std_ratio
from tests.evaluate.metrics.examples import NUM_FRAMES, talking_head


def test_a_mouth_against_itself():
    clip = talking_head()
    assert correlate_openings(clip, clip) == pytest.approx(1)
    assert find_opening_lag(clip, clip) == (0, pytest.approx(1))
    assert opening_std_ratio(clip, clip) == pytest.approx(1)


@pytest.mark.parametrize("late", [-4, -1, 1, 3])
def test_a_late_mouth_has_its_lag(late):
    clip = talking_head()
    order = np.clip(np.arange(NUM_FRAMES) - late, 0, NUM_FRAMES - 1)
    assert find_opening_lag(clip, clip[order]) == (late, pytest.approx(1, abs=1e-6))
    assert correlate_openings(clip, clip[order]) < 0.9


def test_spread_of_a_mouth_that_moves_half_as_much():
    clip = talking_head()
    timid = clip.copy()
    timid[:, 14, :2] = (clip[:, 13, :2] + clip[:, 14, :2]) / 2
    assert opening_std_ratio(clip, timid) == pytest.approx(0.5, rel=1e-5)


def test_frames_without_a_face_are_left_out():
    clip = talking_head()
    output = clip.copy()
    output[10:20] = np.nan
    assert correlate_openings(clip, output) == pytest.approx(1)
    assert opening_std_ratio(clip, output) == pytest.approx(1, abs=0.5)


def test_a_mouth_that_does_not_move_has_no_correlation():
    clip = talking_head()
    frozen = np.repeat(clip[:1], NUM_FRAMES, axis=0)
    assert math.isnan(correlate_openings(clip, frozen))
    assert all(math.isnan(value) for value in find_opening_lag(clip, frozen))
    assert math.isnan(opening_std_ratio(frozen, clip))
    assert opening_std_ratio(clip, frozen) == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize("function", [correlate_openings, find_opening_lag, opening_std_ratio])
def test_shape_error(function):
    clip = talking_head(3)
    with pytest.raises(ShapeError):
        function(clip, clip[1:])
