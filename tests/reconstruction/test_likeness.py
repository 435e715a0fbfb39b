"""Likeness of two faces: the scale, and what follows from it."""

from __future__ import annotations

import numpy as np
import pytest

from dubfew.reconstruction.likeness import Likeness, Verdict, measure_likeness


@pytest.mark.parametrize(
    ("distance", "percent", "verdict"),
    [
        (0.0, 100, Verdict.SAME),
        (0.8, 59, Verdict.SAME),
        (0.81, 59, Verdict.UNCLEAR),
        (0.999, 50, Verdict.UNCLEAR),
        (1.0, 49, Verdict.STRANGER),
        (1.5, 24, Verdict.STRANGER),
        (np.inf, 0, Verdict.STRANGER),
    ],
)
def test_the_scale(distance: float, percent: int, verdict: Verdict) -> None:
    likeness = Likeness(distance, 0.8)
    assert (likeness.verdict, likeness.percent) == (verdict, percent)
    assert f"likeness {percent} %" in str(likeness)


class Brightness:
    """A face is as bright as it is."""

    same_person_distance = 10.0
    stranger_distance = 20.0

    def __call__(self, rgb, landmarks):
        return np.array([rgb.mean()], np.float32)


def face(brightness: int) -> tuple:
    return np.full((4, 4, 3), brightness, np.uint8), np.zeros((478, 2), np.float32)


def test_means_lie_nearer_than_single_pictures() -> None:
    own = np.array([100.0], np.float32)
    assert measure_likeness([face(118)], own, Brightness()).distance == pytest.approx(1)
    several = [face(110), face(130)]
    assert measure_likeness(several, own, Brightness()).distance == pytest.approx(1 / 0.8)
    assert measure_likeness([face(105)], own, Brightness()).verdict is Verdict.SAME
    assert measure_likeness([], own, Brightness()).percent == 0
