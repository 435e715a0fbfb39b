"""What the page of an evaluation shows first, and its row of phonemes."""

from __future__ import annotations

import dataclasses

import numpy as np

from dubfew.evaluate.compare import EvaluationResult, FrameRun
from dubfew.evaluate.gate import BrokenLimit
from dubfew.evaluate.metrics import FrameCurve
from dubfew.evaluate.page import draw_phones, find_worst_moments
from dubfew.speech.visemes import Phone
from tests.evaluate.metrics.examples import pair_clips, talking_head


def result(**curves: np.ndarray) -> EvaluationResult:
    head = talking_head(100)
    return EvaluationResult(
        *[100, 30.0, 0.99, 28.0, 0.9, 1.0, 0.9, 0.8, 0.0, 0.9, 1.0, 0],
        curves={name: FrameCurve(values, np.mean) for name, values in curves.items()},
        clips=pair_clips(head, head),
    )


def test_moments_are_what_stands_out_and_the_worst_comes_first():
    noise = np.random.default_rng(0).normal(0, 0.02, 100)
    seam, sharp = 0.2 + noise, 30 + 10 * noise
    seam[20] = 3.0
    sharp[[50, 51]] = 20.0  # lower is worse
    sharp[70] = 60.0
    moments = find_worst_moments(result(seam=seam, psnr=sharp))
    # Frames 50 and 51 are one syllable.
    assert [row for row, _ in moments] == [20, 50] or [row for row, _ in moments] == [20, 51]
    assert moments[0][1] == "seam 3 8-bit levels per px"


def test_nothing_stands_out_of_a_plain_curve():
    assert find_worst_moments(result(seam=np.zeros(100))) == []
    assert find_worst_moments(result(seam=np.full(100, np.nan))) == []


def test_what_is_poor_throughout_is_a_moment_and_a_broken_limit_comes_first():
    flicker = np.full(100, 9.5)
    flicker[60] = 9.9
    seam = 0.2 + np.random.default_rng(0).normal(0, 0.02, 100)
    seam[20] = 3.0
    measured = result(flicker=flicker, seam=seam)
    # Seam 3 has a score of far more spreads than the flicker's 4.8 times from good to poor.
    assert find_worst_moments(measured)[0] == (20, "seam 3 8-bit levels per px")
    # One of the hundred that are as poor.
    assert find_worst_moments(measured)[1:] == [(60, "flicker 9.9 8-bit levels")]
    place = FrameRun(50, 99, 2.0, 3.96, "")
    broken = (BrokenLimit("flicker", "9.5, required at most 1.2", (place,)),)
    moments = find_worst_moments(measured, broken)
    assert moments[0] == (60, "limit: flicker 9.9 8-bit levels")
    assert moments[1][0] == 20


def test_a_moment_names_all_that_stands_out_in_its_syllable():
    noise = np.random.default_rng(0).normal(0, 0.02, 100)
    seam, shift = 0.2 + noise, 0.5 + noise
    seam[[20, 21]] = 3.0, 2.5
    shift[24] = 2.0
    moments = find_worst_moments(result(seam=seam, color_shift=shift))
    assert moments == [(20, "seam 3 8-bit levels per px; color_shift 2 CIEDE2000")]


def test_good_frames_are_no_moments():
    assert find_worst_moments(result(flicker=np.full(100, 1.0))) == []


def test_measures_of_the_same_line_are_left_out_of_a_dub():
    lmd = np.ones(100) + np.random.default_rng(0).normal(0, 0.01, 100)
    lmd[40] = 9
    same = result(lmd=lmd)
    assert [row for row, _ in find_worst_moments(same)] == [40]
    assert find_worst_moments(dataclasses.replace(same, same_line=False)) == []


def test_phonemes_are_letters_on_the_scale_of_the_curves():
    phones = (Phone("", 0, 1), Phone("a", 1, 2), Phone("<", 2, 3), Phone("p", 8, 9))
    drawn = draw_phones(phones, 0.0, 4.0)
    assert drawn.count("<text") == 2  # silence and what lies beyond the end have no letter
    assert ">a</text>" in drawn
    assert "&lt;</text>" in drawn
    assert draw_phones((), 0.0, 4.0) == ""
