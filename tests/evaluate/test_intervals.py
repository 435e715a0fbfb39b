"""Intervals against tables and closed forms."""

from __future__ import annotations

import math

import numpy as np
import pytest

from dubfew.evaluate.intervals import binomial_interval, bootstrap_interval, bootstrap_mean
from dubfew.evaluate.metrics import FrameCurve


@pytest.mark.parametrize(
    ("votes", "low", "high"), [(93, 84, 96), (63, 52, 71), (78, 67, 84), (39, 29, 48), (9, 4, 16)]
)
def test_published_intervals_of_102_votes(votes: int, low: int, high: int):
    """Dubbing for Everyone, table 2, from its percentages."""
    ends = binomial_interval(votes, 102)
    assert [round(100 * end) for end in ends] == [low, high]


def test_unanimous_votes():
    assert binomial_interval(0, 10) == (0, pytest.approx(1 - 0.025**0.1))
    assert binomial_interval(10, 10) == (pytest.approx(0.025**0.1), 1)


def mean_of(values: np.ndarray) -> FrameCurve:
    return FrameCurve(values, lambda x: float(x.mean()))


def test_independent_frames_have_the_interval_of_the_mean():
    values = np.random.default_rng(0).normal(5, 2, 500)
    low, high = bootstrap_interval(mean_of(values), 1)
    expected = 1.96 * values.std() / math.sqrt(500)
    assert (high - low) / 2 == pytest.approx(expected, rel=0.15)
    assert low < values.mean() < high


def test_frames_that_are_alike_count_as_few():
    """Ten values, each for 25 frames: the interval is that of ten, not of 250."""
    values = np.repeat(np.random.default_rng(0).normal(0, 1, 20), 25)
    narrow, wide = (np.diff(bootstrap_interval(mean_of(values), block))[0] for block in (1, 25))
    assert wide > 2.5 * narrow


def test_too_few_frames_and_frames_without_a_value():
    assert all(math.isnan(end) for end in bootstrap_interval(mean_of(np.ones(30)), 25))
    values = np.where(np.arange(200) % 2, np.nan, 3.0)
    assert bootstrap_interval(mean_of(values), 25) == (3, 3)


def test_mean_over_clips():
    assert all(math.isnan(end) for end in bootstrap_mean(np.array([1.0, np.nan])))
    low, high = bootstrap_mean(np.array([1.0, 2, 3, np.inf]))
    assert 1 <= low < 2 < high <= 3
