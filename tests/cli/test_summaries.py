"""Results in words."""

from __future__ import annotations

import dataclasses
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from dubfew.adapt.pipeline import AdaptResult
from dubfew.adapt.segment_selection import FootageSegment
from dubfew.cli.summaries import (
    format_adaptation,
    format_dub,
    format_evaluation,
    format_render,
    format_track,
)
from dubfew.dubbing.pipeline import DubResult
from dubfew.evaluate.compare import EvaluationResult
from dubfew.evaluate.metrics import METRICS
from dubfew.render.pipeline import RenderResult
from dubfew.speech.motion_lag import PictureLag


def rendered(note: str = "") -> RenderResult:
    return RenderResult(
        output=Path("scene-mary-german1.mp4"),
        frames=300,
        edited_frames=297,
        fps=Fraction(25),
        seconds={"total": 15.3},
        peak_rss_mb=984.0,
        note=note,
        watermark="886a2a6466",
        credentials=Path("scene-mary-german1.mp4"),
    )


def adapted(actor: str = "mary") -> AdaptResult:
    return AdaptResult(
        actor=actor,
        revision=2,
        method="lora",
        segment=FootageSegment(0, 150, 0.0, 6.0, "whole", {}),
        frames=135,
        steps=25,
        seconds={"total": 141.0},
        psnr_heldout=39.9,
        bytes=24_000_000,
        curve=[(0, 0.6, 39.8)],
        note="no consent of 'mary' was recorded",
    )


def evaluated(*, same_line: bool | None) -> EvaluationResult:
    return EvaluationResult(
        frames=100,
        psnr=44.7,
        ssim=0.993,
        psnr_mouth=29.0,
        ssim_mouth=0.9,
        lmd=3.12,
        sharpness=0.9,
        opening_r=float("nan"),
        opening_lag=4,
        opening_r_best=0.3,
        opening_spread=1.1,
        outside_max=24,
        same_line=same_line,
    )


def tracked(**changes: Any) -> dict[str, Any]:
    result = {
        "output": Path("t.safetensors"),
        "frames": 100,
        "valid_frames": 100,
        "usable_frames": 90,
        "left_out": {"turned away": 10},
        "face": 1,
        "faces": 2,
        "fps": Fraction(25),
    }
    return result | changes


@pytest.mark.parametrize(
    ("lag", "words"),
    [
        (PictureLag(-0.08, 0.99, 0.7, 0.4), "In sync: no, the picture is 80 ms early; "),
        (PictureLag(0.11, 0.99, 0.7, 0.4), "In sync: no, the picture is 110 ms late; "),
        (PictureLag(0.02, 0.99, 0.7, 0.7), "In sync: yes, to 20 ms"),
        (PictureLag(0.2, 0.5, 0.3, 0.2), "In sync: cannot be told from these seconds"),
    ],
)
def test_an_adaptation_tells_whether_picture_and_sound_are_in_sync(
    lag: PictureLag, words: str
) -> None:
    lines = format_adaptation(dataclasses.replace(adapted(), picture_lag=lag)).splitlines()
    assert any(line.startswith(words) for line in lines)
    assert "In sync" not in format_adaptation(adapted())  # footage without sound


def test_a_render_tells_warnings_first_and_then_what_was_made() -> None:
    done = "Done: scene-mary-german1.mp4 (0:12, 297 of 300 frames painted)"
    assert format_render(rendered()) == done
    lines = format_render(rendered("the sound is cut; no consent of 'mary'")).splitlines()
    assert lines == ["warning: the sound is cut", "warning: no consent of 'mary'", done]


def test_the_whole_comes_after_a_preview() -> None:
    whole = "Next: the same command without --preview renders all of it"
    assert format_render(rendered(), preview=True).splitlines()[-1] == whole
    result = DubResult(adapted(), rendered())
    assert format_dub(result, preview=True).splitlines()[-1] == whole
    assert format_dub(result).splitlines()[-1] == (
        "Another line: dubfew render mary --audio SPEECH.wav"
    )


def test_technical_fields_need_verbose() -> None:
    assert "peak_rss_mb" not in format_render(rendered())
    assert "peak_rss_mb    984.0" in format_render(rendered(), verbose=True)
    assert "curve" in format_adaptation(adapted(), verbose=True)


def test_an_adaptation_tells_the_next_command() -> None:
    warning, done, quality, following = format_adaptation(adapted()).splitlines()
    assert warning == "warning: no consent of 'mary' was recorded"
    assert done.startswith("Done: learned 'mary', revision 2, from 135 frames of 0:06 (24.0 MB")
    assert quality == "Quality: good (mouths that were kept back come out at 39.9 dB)"
    assert following == "Next: dubfew render mary --audio SPEECH.wav"
    assert "dubfew render 'Zoë B' --audio" in format_adaptation(adapted("Zoë B"))


def test_the_people_of_a_track_are_a_line_each() -> None:
    faces = [
        {"face": 0, "frames": 100, "width": 172, "seen": [(0, 99)], "at": [215, 245]},
        {"face": 1, "frames": 50, "width": 90, "seen": [(0, 24), (75, 99)], "at": [500, 240]},
    ]
    lines = format_track(tracked(faces=faces)).splitlines()
    assert lines == [
        "warning: 10 frames cannot be used (turned away 10)",
        "Done: t.safetensors (0:04, face in 100 of 100 frames)",
        "face 0: 100 frames (0.0 to 4.0 s), 172 px wide, at 215,245",
        "face 1: 50 frames (0.0 to 1.0 s, 3.0 to 4.0 s), 90 px wide, at 500,240 (tracked)",
    ]
    assert "2 people are seen" in format_track(tracked())


def row(text: str, name: str) -> str:
    (found,) = (line for line in text.splitlines() if line.split()[0] == name)
    return " ".join(found.split())


def test_an_evaluation_tells_unit_direction_and_verdict() -> None:
    text = format_evaluation(evaluated(same_line=True), METRICS)
    assert row(text, "psnr_mouth") == (
        "psnr_mouth 29.0 dB poor higher is better; good from 33, poor from 29.5"
    )
    assert "% of the eye-corner distance fair lower is better" in row(text, "lmd")
    assert "good near 1 is better; good within 0.25" in row(text, "sharpness")
    assert row(text, "frames") == "frames 100"
    assert row(text, "outside_max") == "outside_max 24 8-bit levels lower is better"
    assert "opening_r - higher" in row(text, "opening_r")  # no value, no verdict
    assert "warning" not in text


def test_an_evaluation_says_what_is_not_compared() -> None:
    longer = dataclasses.replace(evaluated(same_line=True), rest=58)
    first, *table = format_evaluation(longer, METRICS).splitlines()
    assert first.startswith("warning: ")
    assert "58 frames" in first
    assert table == format_evaluation(evaluated(same_line=True), METRICS).splitlines()


def test_an_evaluation_of_another_line_gives_no_verdict_on_the_mouth() -> None:
    first, *rest = format_evaluation(evaluated(same_line=False), METRICS).splitlines()
    assert first.startswith("warning: the two videos speak different lines")
    text = "\n".join(rest)
    assert "psnr_mouth * 29.0 dB higher is better" in row(text, "psnr_mouth")
    assert "good" in row(text, "sharpness")
