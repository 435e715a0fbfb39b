"""Limits: files that can be used, and outputs that keep them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from dubfew.evaluate.compare import EvaluationResult
from dubfew.evaluate.gate import LimitsError, check_limits, read_limits
from dubfew.evaluate.metrics import FrameCurve
from tests.evaluate.metrics.examples import pair_clips, talking_head


def result(**more: float | None) -> EvaluationResult:
    """An output of 100 frames at 25 fps with a seam in frames 10 to 19, 22, and 60."""
    seam = np.zeros(100)
    seam[10:20] = 3.0
    seam[22] = 2.5
    seam[60] = 9.0
    seam[61] = np.nan
    head = talking_head(100)
    return EvaluationResult(
        *[100, 30.0, 0.99, 28.0, 0.9, 1.0, 0.9, 0.8, 0.0, 0.9, 1.0, 0],
        more={"seam": float(np.nanmean(seam)), **more},
        unavailable={"fid": "weights"},
        curves={"seam": FrameCurve(seam, np.mean)},
        clips=pair_clips(head, head),
    )


def write(path: Path, limits: object) -> Path:
    path.write_text(json.dumps(limits))
    return path


def test_a_kept_limit_and_a_broken_one():
    assert check_limits(result(), {"psnr_mouth": {"min": 28}, "lmd": {"max": 1}}) == ()
    (broken,) = check_limits(result(), {"psnr_mouth": {"min": 30}, "sharpness": {"max": 1}})
    assert broken.describe() == "psnr_mouth: 28, required at least 30"


def test_places_are_joined_and_the_longest_comes_first():
    (broken,) = check_limits(result(), {"seam": {"max_frame": 2}})
    assert broken.reason == "9 in a frame, required at most 2"
    # Frame 22 is 0.12 s after frame 19: one place.
    assert [(run.first, run.last) for run in broken.places] == [(10, 22), (60, 60)]
    assert "0.40 to 0.88 s (frames 10 to 22)" in broken.describe()
    assert check_limits(result(), {"seam": {"max_frame": 9}}) == ()


def test_a_clip_limit_says_where_as_well():
    (broken,) = check_limits(result(), {"seam": {"max": 0.1}})
    assert len(broken.places) == 2


def test_what_is_not_measured_is_not_kept():
    limits = {"fid": {"max": 10}, "leakage": {"max": 0.3}}
    first, second = check_limits(result(fid=None, leakage=float("nan")), limits)
    assert first.describe() == "fid: not measured (needs weights)"
    assert "nothing to measure" in second.describe()
    optional = {name: {**rules, "optional": True} for name, rules in limits.items()}
    assert check_limits(result(fid=None, leakage=float("nan")), optional) == ()


def test_a_limit_of_frames_where_there_are_none():
    (broken,) = check_limits(result(leakage=0.1), {"leakage": {"max_frame": 0.3}})
    assert broken.describe() == "leakage: has no values of frames: give max"


@pytest.mark.parametrize(
    ("limits", "words"),
    [
        ([], "no limits"),
        ({}, "no limits"),
        ({"beauty": {"min": 1}}, "no measure 'beauty'"),
        ({"lmd": 3}, "lmd has 3"),
        ({"lmd": {"most": 3}}, "lmd has"),
        ({"lmd": {"optional": True}}, "lmd has no limit"),
        ({"lmd": {"max": "3"}}, "'3': give a number"),
        ({"lmd": {"max": True}}, "True: give a number"),
        ({"lmd": {"max": 3, "optional": 1}}, "1: give true or false"),
    ],
)
def test_files_that_cannot_be_used(tmp_path: Path, limits: object, words: str):
    with pytest.raises(LimitsError, match=words):
        read_limits(write(tmp_path / "limits.json", limits))


def test_files_that_cannot_be_read(tmp_path: Path):
    with pytest.raises(LimitsError, match="cannot be read"):
        read_limits(tmp_path / "none.json")
    (tmp_path / "text.json").write_text("psnr > 30")
    with pytest.raises(LimitsError, match="not JSON"):
        read_limits(tmp_path / "text.json")
    good = {"lmd": {"max": 3, "max_frame": 6.5}, "fid": {"max": 5, "optional": True}}
    assert read_limits(write(tmp_path / "good.json", good)) == good
