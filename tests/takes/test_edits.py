"""Edits of mouth motion: what each does, where it holds, and that nothing jumps."""

from __future__ import annotations

import numpy as np
import pytest

from dubfew.errors import DubfewError
from dubfew.motion.mouth_motion import MouthMotion
from dubfew.takes.edits import EDIT_RULES, MotionEdit, apply_edits, opening_direction
from tests.takes.toys import toy_motion

STRETCH = {"start": 1.3, "end": 1.7}


def edited(*edits: MotionEdit, motion: MouthMotion | None = None, **alternates) -> MouthMotion:
    return apply_edits(motion or toy_motion(), edits, alternates)


def gap_at(motion: MouthMotion, *times: float) -> np.ndarray:
    return np.interp(times, motion.times, motion.aperture())


def test_an_offset_is_a_shift_in_time():
    moved = edited(MotionEdit("offset", 0.04))
    np.testing.assert_allclose(
        moved.displacement[4:], toy_motion().displacement[:-4], rtol=0, atol=1e-7
    )


def test_an_offset_of_a_stretch_runs_at_no_time_backwards():
    ramp = np.arange(401, dtype=np.float32) / 400
    times = np.arange(401) / 100
    points = np.zeros_like(toy_motion().displacement) + ramp[:, None, None]
    for shift in (-0.3, 0.3):
        moved = edited(MotionEdit("offset", shift, **STRETCH), motion=MouthMotion(points, times))
        assert (np.diff(moved.displacement[:, 0, 0]) >= 0).all()
        assert moved.displacement[150, 0, 0] == pytest.approx((1.5 - shift) / 4, abs=1e-6)


def test_a_scale_of_a_stretch_leaves_the_rest_to_the_bit():
    before, moved = toy_motion(), edited(MotionEdit("scale", 0.5, **STRETCH))
    assert gap_at(moved, 1.5)[0] == pytest.approx(0.05, abs=1e-6)
    outside = (before.times < 1.3 - 0.08) | (before.times > 1.7 + 0.08)
    assert (moved.displacement[outside] == before.displacement[outside]).all()


def test_a_hold_keeps_the_pose_of_its_begin_or_another():
    assert gap_at(edited(MotionEdit("hold", **STRETCH)), 1.3, 1.5, 1.7).ptp() < 1e-6
    held = edited(MotionEdit("hold", 0.5, 1.9, 2.1))
    np.testing.assert_allclose(gap_at(held, 1.9, 2.0, 2.1), 0.1, atol=1e-6)


def test_close_closes_and_open_opens_and_the_width_stays():
    closed, opened = (
        edited(MotionEdit("close", **STRETCH)),
        edited(MotionEdit("open", 0.2, **STRETCH)),
    )
    np.testing.assert_allclose(gap_at(closed, 1.3, 1.5, 1.7), 0, atol=1e-6)
    np.testing.assert_allclose(gap_at(opened, 1.3, 1.5, 1.7), 0.2, atol=1e-6)
    # The chin follows as in this mouth's own openings.
    chin = opening_direction(toy_motion())[:, 1].min()
    assert opened.displacement[150, :, 1].min() == pytest.approx(0.2 * chin, rel=1e-3)


def test_a_mouth_that_never_opens_can_be_opened():
    still = MouthMotion(np.zeros_like(toy_motion().displacement), toy_motion().times)
    np.testing.assert_allclose(gap_at(edited(MotionEdit("open", 0.1), motion=still), 1.0), 0.1)


def test_smoothing_lowers_peaks_and_keeps_the_mean():
    smoothed = edited(MotionEdit("smooth", 0.2))
    # A Gaussian damps a sine of 1 Hz by exp(-2 (pi sigma)^2): the peak is half the mean and that.
    expected = 0.05 + 0.05 * np.exp(-2 * (np.pi * 0.2) ** 2)
    assert gap_at(smoothed, 1.5)[0] == pytest.approx(expected, abs=1e-4)


def test_a_stretch_of_another_take_at_its_own_time_and_moved():
    wide = toy_motion(gap=0.2)
    replaced = edited(MotionEdit("replace", 0.0, take="wide", **STRETCH), wide=wide)
    np.testing.assert_allclose(gap_at(replaced, 0.5, 1.5), [0.1, 0.2], atol=1e-6)
    moved = edited(MotionEdit("replace", 0.5, take="wide", **STRETCH), wide=wide)
    assert gap_at(moved, 1.5)[0] == pytest.approx(0.0, abs=1e-6)  # the rest at 1 s


@pytest.mark.parametrize("operation", EDIT_RULES)
def test_nothing_jumps_at_the_ends_of_a_stretch(operation):
    values = {"offset": 0.2, "scale": 3.0, "open": 0.3, "smooth": 0.05}
    name = "wide" if operation == "replace" else None
    edit = MotionEdit(operation, values.get(operation), 1.3, 1.72, take=name)
    moved = edited(edit, wide=toy_motion(gap=0.3))
    # 0.3 in 80 ms at most, eased: 1.5 times the mean speed, on top of the motion's own.
    assert np.abs(np.diff(moved.aperture())).max() < 1.5 * 0.3 / 8 + 0.01


def test_edits_are_applied_in_their_order():
    closed_last = edited(MotionEdit("open", 0.1), MotionEdit("close"))
    opened_last = edited(MotionEdit("close"), MotionEdit("open", 0.1))
    assert closed_last.aperture().max() < 1e-6
    assert opened_last.aperture().min() == pytest.approx(0.1, abs=1e-6)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"operation": "shrink"}, "no edit 'shrink'"),
        ({"operation": "scale"}, "needs a value"),
        ({"operation": "scale", "value": float("nan")}, "give a number"),
        ({"operation": "scale", "value": True}, "give a number"),
        ({"operation": "offset", "value": 3}, "-2 to 2"),
        ({"operation": "close", "start": 2, "end": 1}, "later end"),
        ({"operation": "close", "start": -1}, "start"),
        ({"operation": "hold"}, "needs a time"),
        ({"operation": "replace"}, "need each other"),
        ({"operation": "close", "color": "red"}, "is no edit"),
        (["close"], "is no edit"),
    ],
)
def test_edits_that_are_none(fields, words):
    with pytest.raises(DubfewError, match=words):
        MotionEdit.from_json(fields)


def test_every_edit_is_read_as_it_was_written():
    edits = [
        MotionEdit("offset", -0.04),
        MotionEdit("hold", 1.0, 2.0, 3.0, 0.2),
        MotionEdit("replace", 0.5, take="other"),
        MotionEdit("close", start=1.0),
    ]
    assert [MotionEdit.from_json(each.to_json()) for each in edits] == edits
    assert MotionEdit("offset", 0.04, 1, 2).describe() == "offset +40 ms from 1 s to 2 s"
