"""Lines that are too long: pauses first, then tempo, and the limits of both."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from dubfew.cli.app import app
from dubfew.media import Audio, read_audio
from dubfew.media.in_memory import write_audio
from dubfew.media.line_fitting import fit_line, plan_line_fit
from tests.commands import CommandRunner

RATE = 16000
PITCH_HZ = 200


def _line(*parts: tuple[float, bool]) -> Audio:
    """Tones and silences of given lengths, s."""
    pieces = []
    for seconds, is_loud in parts:
        times = np.arange(round(seconds * RATE)) / RATE
        pieces.append(np.sin(2 * np.pi * PITCH_HZ * times) * 0.3 * is_loud)
    return Audio(np.concatenate(pieces).astype(np.float32), RATE)


# A second, a pause of half a second, a second, and silence that does not count.
LINE = _line((1.0, True), (0.5, False), (1.0, True), (1.0, False))


def _spoken_seconds(audio: Audio) -> float:
    return plan_line_fit(audio, 100).speech_seconds


def test_a_line_that_fits_stays():
    plan = plan_line_fit(LINE, 2.6)
    assert plan.fits
    assert fit_line(LINE, plan) is LINE
    assert "fits" in plan.describe()


def test_pauses_are_shortened_before_anything_is_faster():
    plan = plan_line_fit(LINE, 2.3)
    assert (plan.tempo, plan.fits) == (1.0, True)
    assert plan.pauses == pytest.approx(0.2, abs=0.05)
    made = fit_line(LINE, plan)
    assert _spoken_seconds(made) == pytest.approx(2.3, abs=0.03)
    # No sample of the tones was lost.
    loud = lambda audio: int((np.abs(audio.samples) > 0.01).sum())  # noqa: E731
    assert loud(made) == pytest.approx(loud(LINE), rel=0.01)


def test_what_pauses_do_not_give_is_spoken_faster_at_the_same_pitch():
    plan = plan_line_fit(LINE, 2.07)
    assert plan.pauses == pytest.approx(0.35, abs=0.05)
    assert 1.03 < plan.tempo < 1.1
    made = fit_line(LINE, plan)
    assert made.duration == pytest.approx(2.07, abs=0.03)
    spectrum = np.abs(np.fft.rfft(made.samples[: RATE // 2]))
    assert np.argmax(spectrum) * 2 == pytest.approx(PITCH_HZ, abs=4)


def test_a_line_that_cannot_fit_is_told_with_advice():
    plan = plan_line_fit(LINE, 1.5)
    assert not plan.fits
    assert plan.needed == pytest.approx(1.43, abs=0.05)
    assert re.search(r"leave out about 3\d % of the words", plan.describe())
    # A wider limit lets it.
    assert plan_line_fit(LINE, 1.5, stretch=1.5).fits


def test_silence_fits_anywhere():
    assert plan_line_fit(Audio(np.zeros(RATE, np.float32), RATE), 0.1).fits


@pytest.mark.slow
def test_the_command(tmp_path: Path):
    path, out = tmp_path / "line.wav", tmp_path / "fit.wav"
    write_audio(path, LINE)

    def run(*words: object) -> tuple[int, str]:
        found = CommandRunner().invoke(app, ["fit", str(path), *map(str, words)])
        return found.exit_code, " ".join((found.output + found.stderr).split())

    assert run("--seconds", 2.3, "-o", out)[0] == 0
    assert _spoken_seconds(read_audio(out)) == pytest.approx(2.3, abs=0.03)
    code, text = run("--seconds", 1.2, "-o", tmp_path / "b.wav")
    assert code == 1
    assert "cannot fit" in text
    assert not (tmp_path / "b.wav").exists()
    # Without an output it only says so.
    assert run("--seconds", 1.2)[0] == 0
    assert run()[0] == 2
