"""The sound test on dubs whose mouths are known."""

from __future__ import annotations

import json
import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from dubfew.cli.app import app
from dubfew.errors import DubfewError, MediaError
from dubfew.evaluate import sound_test
from dubfew.evaluate.sound_test import SoundTest, format_sound_tests, run_sound_test
from dubfew.media import probe, read_audio
from tests.commands import CommandRunner
from tests.evaluate.metrics.test_speech_measures import mouth_with
from tests.footage import ACTOR

FRAMES = 150
RNG = np.random.default_rng(0)
FILM = np.abs(np.convolve(RNG.standard_normal(FRAMES + 8), np.ones(4) / 4, "valid")[:FRAMES]) / 4
# Two frames of the silent dub and three of that with noises are open, the other line has half of
# the scene's mouth in it, and the own sound is two frames late and half as wide.
MOUTHS = {
    "silent": np.where(np.arange(FRAMES) < 2, 0.2, 0.0),
    "noises": np.where(np.arange(FRAMES) < 3, 0.2, 0.0),
    "other": 0.3 * FILM + 0.03 * RNG.random(FRAMES),
    "own": 0.5 * np.roll(FILM, 2),
}


@pytest.fixture
def dubs(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What was rendered, in order; no picture is painted."""
    made: list[dict[str, Any]] = []

    def render(actor: str, *, audio: Path | None, out: Path, **options: Any) -> SimpleNamespace:
        loud = None if audio is None else float(np.abs(read_audio(audio).samples).max())
        length = None if audio is None else read_audio(audio).duration
        made.append({"actor": actor, "out": out, "loud": loud, "length": length, **options})
        return SimpleNamespace(output=out)

    def detect(video: Path) -> np.ndarray:
        name = video.stem.rpartition("-")[2]
        return mouth_with(MOUTHS.get(name, FILM))

    monkeypatch.setattr(sound_test, "NOISES", ((sound_test.hiss_noise, -20.0),))
    monkeypatch.setattr(sound_test, "render", render)
    monkeypatch.setattr(sound_test, "detect_landmarks", detect)
    return made


REGISTRY: Any = SimpleNamespace(
    open=lambda actor: SimpleNamespace(config={"source": {"path": str(ACTOR)}})
)


def test_four_sounds_and_what_the_mouth_does(dubs, tmp_path):
    (result,) = run_sound_test(["mary"], registry=REGISTRY, keep=tmp_path)
    silent, noises, other, own = dubs
    assert [each["out"] for each in dubs] == [
        tmp_path / f"mary-{name}.mp4" for name in ("silent", "noises", "other", "own")
    ]
    assert silent["loud"] == 0
    assert silent["length"] > probe(ACTOR).duration  # the last frame is covered
    assert noises["length"] == silent["length"]
    assert noises["loud"] > 0.1
    assert other["loud"] > 0.1
    assert own["loud"] is None  # the scene's own sound
    assert result.frames == FRAMES
    assert result.open_on_film == pytest.approx(100 * (FILM > 0.05).mean())
    assert result.open_in_silence == pytest.approx(100 * 2 / FRAMES)
    assert result.open_in_noises == pytest.approx(100 * 3 / FRAMES)
    assert result.other_r > 0.7
    assert result.other_leakage > 0.5
    assert result.other_chance == 0  # no shift of this mouth is as near
    assert result.own_lag == 2
    assert result.own_r < 0.9 < result.own_r_best
    assert result.articulation == pytest.approx(0.5, abs=0.03)
    text = format_sound_tests([result])
    assert "mouth open in silence, %" in text
    assert f"{result.open_in_silence:.2f}" in text


def test_frames_behind_the_other_line_do_not_count(dubs, tmp_path, monkeypatch):
    # Within the line the mouths are unrelated, behind it they are the same.
    seconds = 2.0
    stop = int(seconds * float(probe(ACTOR).fps))
    monkeypatch.setitem(
        MOUTHS, "other", np.where(np.arange(FRAMES) < stop, np.roll(FILM, 60), FILM)
    )
    line = tmp_path / "line.wav"
    sound_test._write_silence(line, ACTOR)
    monkeypatch.setattr(sound_test, "read_audio", lambda path: SimpleNamespace(duration=seconds))
    (result,) = run_sound_test(["mary"], registry=REGISTRY, other_sound=line)
    assert abs(result.other_r) < 0.4
    assert math.isnan(result.other_chance)  # too short for shifts


@pytest.mark.slow
def test_noises_have_their_levels(tmp_path):
    path = sound_test._write_noises(tmp_path / "noises.wav", ACTOR)
    parts = np.array_split(read_audio(path).samples, len(sound_test.NOISES))
    for part, (make, level) in zip(parts, sound_test.NOISES, strict=True):
        assert 10 * np.log10((part**2).mean()) == pytest.approx(level, abs=0.5), make


def test_a_still_mouth_follows_nothing(dubs, monkeypatch):
    # A hundredth of the scene's movement is the detector's error.
    monkeypatch.setitem(MOUTHS, "silent", 0.01 * FILM)
    (result,) = run_sound_test(["mary"], registry=REGISTRY)
    assert math.isnan(result.silent_r)
    monkeypatch.setitem(MOUTHS, "silent", 0.5 * FILM)
    (result,) = run_sound_test(["mary"], registry=REGISTRY)
    assert result.silent_r > 0.99


def test_unrelated_mouths_agree_no_more_than_shifted_ones(dubs, monkeypatch):
    monkeypatch.setitem(MOUTHS, "other", FILM[::-1])
    (result,) = run_sound_test(["mary"], registry=REGISTRY)
    assert result.other_chance > 5


def test_a_scene_without_sound_has_no_own_sound(dubs, monkeypatch):
    silent_film = SimpleNamespace(has_audio=False, duration=2.0, fps=25)
    monkeypatch.setattr(sound_test, "probe", lambda path: silent_film)
    (result,) = run_sound_test(["mary"], registry=REGISTRY)
    assert len(dubs) == 3
    assert math.isnan(result.own_r)
    assert math.isnan(result.articulation)
    assert "n/a" in format_sound_tests([result])


def test_what_cannot_be_tested_is_refused_before_the_first_render(dubs, tmp_path):
    with pytest.raises(DubfewError, match="nobody to test"):
        run_sound_test([], registry=REGISTRY)
    with pytest.raises(DubfewError, match="one actor"):
        run_sound_test(["mary", "ann"], video=ACTOR, registry=REGISTRY)
    with pytest.raises(MediaError):
        run_sound_test(["mary"], other_sound=tmp_path / "none.wav", registry=REGISTRY)
    assert not dubs


@pytest.mark.slow
def test_the_command_passes_on_what_was_measured(monkeypatch):
    measured = SoundTest(
        "mary", ACTOR, 150, 60.0, 0.0, 1.0, 0.1, -0.05, 0.1, 40.0, 0.5, 1.0, 0.6, 0.9
    )
    asked: dict[str, Any] = {}

    def run(actors: list[str], **options: Any) -> list[SoundTest]:
        asked.update(actors=actors, **options)
        return [measured]

    monkeypatch.setattr(sound_test, "run_sound_test", run)
    words = ["bench", "sounds", "mary", "--audio", "line.wav", "--json"]
    result = CommandRunner().invoke(app, words)
    assert result.exit_code == 0, result.output
    assert (asked["actors"], asked["other_sound"]) == (["mary"], Path("line.wav"))
    found = json.loads(result.stdout.splitlines()[-1])["actors"][0]
    assert found["open_in_silence"] == 0
    assert found["other_r"] == -0.05
    assert CommandRunner().invoke(app, ["bench", "sounds"]).exit_code == 2
