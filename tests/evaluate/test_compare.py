"""Whole videos against each other."""

from __future__ import annotations

import json
import math
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from dubfew.errors import DubfewError, NoFaceError
from dubfew.evaluate import EvaluationResult, evaluate
from dubfew.evaluate.compare import FIELD_NAMES
from dubfew.evaluate.metrics import METRICS, FrameMeasure, Metric, MetricRequirement
from dubfew.media import Frame, VideoInfo, VideoWriter, probe, read_frames

CLIP = "clips/grid_bbaf2n.mpg"


def write(path: Path, like: Path, frames: list[Frame]) -> Path:
    info = probe(like)
    with VideoWriter(path, info, lossless=True) as writer:
        for index, frame in enumerate(frames):
            writer.write(frame.with_time(index, index / Fraction(info.fps)))
    return path


def blank(path: Path, width: int) -> Path:
    """Three grey frames, 64 px high, in which nobody is."""
    grey = np.full((64, width, 3), 128, np.uint8)
    with VideoWriter(path, VideoInfo(path, width, 64, Fraction(25)), lossless=True) as writer:
        for index in range(3):
            writer.write(Frame.from_rgb(grey, index))
    return path


def test_every_measure_has_its_field():
    assert set(FIELD_NAMES) - {"frames"} <= set(METRICS.names)


def test_json_has_the_fields_in_order_and_no_nan():
    figures = EvaluationResult(
        3, math.inf, 1.0, math.inf, 1.0, 0.5, 1.0, math.nan, 0.0, 0.9, 1.0, 0
    )
    encoded = json.dumps(figures.to_json(), allow_nan=False)
    assert json.loads(encoded)["psnr"] is None
    assert json.loads(encoded)["opening_r"] is None
    assert json.loads(encoded)["lse_c"] is None  # not asked for
    assert " ".join(figures.to_json()) == (
        "frames psnr ssim psnr_mouth ssim_mouth lmd sharpness opening_r opening_lag "
        "opening_r_best opening_spread outside_max lse_c lse_d av_offset "
        "heard_r heard_lag_ms heard_r_best"
    )


def test_further_metrics_come_after_the_fields():
    figures = EvaluationResult(
        *[3, math.inf, 1.0, math.inf, 1.0, 0.5, 1.0, math.nan, 0.0, 0.9, 1.0, 0],
        more={"flicker": 0.25, "lpips": None},
        unavailable={"lpips": "lpips.pth"},
    )
    assert list(figures.to_json()) == [*FIELD_NAMES, "flicker", "lpips"]
    assert figures.to_json()["flicker"] == 0.25
    assert figures.to_json()["lpips"] is None
    shown = figures.to_display()
    assert shown["lpips"] == "n/a: needs lpips.pth"
    assert list(shown)[-3:] == ["outside_max", "flicker", "lpips"]  # lse_c was not asked for


@pytest.mark.slow
@pytest.mark.parametrize("given", [False, True])
def test_a_registered_metric_is_measured(
    given: bool, shared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that reads a file of weights: without the file it says what it needs."""
    weights = MetricRequirement("toy", "toy.pth", float, variable="DUBFEW_TOY")
    metric = Metric(
        unit="",
        bounds=(0, math.inf),
        direction="lower",
        best=0,
        source="made up",
        measure=FrameMeasure(lambda factor, pair: factor * len(pair.output), np.sum),
        requirement=weights,
    )
    monkeypatch.delenv("DUBFEW_TOY", raising=False)
    if given:
        monkeypatch.setenv("DUBFEW_TOY", "0.5")
    frames = list(read_frames(shared / CLIP, stop=4))
    short = write(tmp_path / "short.mp4", shared / CLIP, frames)
    METRICS.register("toy_metric", metric)
    try:
        figures = evaluate(short, short)
    finally:
        METRICS.unregister("toy_metric")
    assert figures.more["toy_metric"] == (0.5 * 4 * frames[0].height if given else None)
    assert figures.unavailable.get("toy_metric") == (None if given else "toy.pth")


@pytest.mark.slow
def test_a_clip_against_itself(shared: Path, tmp_path: Path):
    frames = list(read_frames(shared / CLIP, stop=36))
    short = write(tmp_path / "short.mp4", shared / CLIP, frames)
    figures = evaluate(short, short)
    assert (figures.frames, figures.rest) == (36, 0)
    assert figures.psnr == figures.psnr_mouth == math.inf
    assert figures.ssim == figures.ssim_mouth == pytest.approx(1)
    assert figures.sharpness == pytest.approx(1)
    assert figures.lmd == 0
    assert figures.opening_r == pytest.approx(1)
    assert figures.opening_spread == pytest.approx(1)
    assert figures.opening_lag == 0
    assert figures.outside_max == 0
    assert figures.lse_c is figures.lse_d is figures.av_offset is None


@pytest.mark.slow
def test_a_clip_one_frame_late(shared: Path, tmp_path: Path):
    frames = list(read_frames(shared / CLIP, stop=36))
    late = write(tmp_path / "late.mp4", shared / CLIP, [frames[0], *frames[:-1]])
    figures = evaluate(shared / CLIP, late)
    assert (figures.frames, figures.rest) == (36, 39)  # the shorter video, and what is over
    assert figures.opening_lag == 1
    # The detector follows its own past, which is one frame shorter at the start.
    assert figures.opening_r_best > 0.97 > figures.opening_r
    assert 28 < figures.psnr_mouth < 45
    assert figures.sharpness == pytest.approx(1, abs=0.02)
    assert 0 < figures.lmd < 3


@pytest.mark.slow
def test_an_edit_outside_the_region_is_found(shared: Path, tmp_path: Path):
    frames = list(read_frames(shared / CLIP, stop=6))
    dot = np.full((2, 2, 3), 255, np.uint8)
    spoilt = frames[3].with_patch(2, 2, dot, np.ones((2, 2), bool))
    output = write(tmp_path / "spoilt.mp4", shared / CLIP, [*frames[:3], spoilt, *frames[4:]])
    assert evaluate(shared / CLIP, output).outside_max > 30


def test_sizes_must_agree(tmp_path: Path):
    narrow, wide = blank(tmp_path / "a.mp4", 64), blank(tmp_path / "b.mp4", 96)
    with pytest.raises(DubfewError, match=r"96 x 64 px .* 64 x 64"):
        evaluate(narrow, wide)


def test_no_face_in_the_reference(tmp_path: Path):
    video = blank(tmp_path / "a.mp4", 64)
    with pytest.raises(NoFaceError):
        evaluate(video, video)
