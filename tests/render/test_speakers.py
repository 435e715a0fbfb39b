"""Who speaks: synthetic lips and sound with known turns."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from dubfew.errors import DubfewError
from dubfew.media import Audio, read_audio
from dubfew.media.in_memory import write_audio
from dubfew.render.cast import read_cast
from dubfew.render.speakers import (
    NOT_SEEN,
    SpokenLine,
    assign_speech,
    rate_agreement,
    write_cast,
)

RATE, SECONDS = 25, 12.0
TIMES = np.arange(round(RATE * SECONDS)) / RATE


def _speech(seed: int) -> np.ndarray:
    """Openings of random lengths and heights, as syllables have them."""
    random = np.random.default_rng(seed)
    marks = np.cumsum(random.uniform(0.06, 0.25, 200))
    heights = random.uniform(0.02, 0.12, len(marks)) * (np.arange(len(marks)) % 2)
    return np.interp(TIMES, marks, heights)


def _controls(gap: np.ndarray, seed: int) -> np.ndarray:
    """Upper and lower lip, width, purse and chin of a gap, with noise of their own. [N, 5]"""
    parts = np.array([0.15, -0.85, -0.2, 0.1, -0.6])
    noise = np.random.default_rng(seed).normal(0, 0.006, (len(gap), 5))
    return gap[:, None] * parts + noise


def _scene(*lags: float) -> tuple[np.ndarray, np.ndarray]:
    """Face 0 speaks for 4 s, face 1 for 4 s, then somebody off-screen; face 2 chews throughout."""
    wanted = _speech(0)
    turns = (TIMES < 4), (TIMES >= 4) & (TIMES < 8)
    moved = [
        np.interp(TIMES - lag, TIMES, wanted) * turn for lag, turn in zip(lags, turns, strict=True)
    ]
    gaps = [*moved, 0.8 * _speech(7)]
    return _controls(wanted, 9), np.stack([_controls(gap, k) for k, gap in enumerate(gaps)])


@pytest.mark.parametrize("lags", [(0.0, 0.0), (-0.2, -0.2), (0.12, 0.12), (0.0, -0.2)])
def test_turns_are_found_beside_somebody_who_chews(lags: tuple[float, float]):
    """Each face has its own offset of picture and sound, as in a scene of several cameras."""
    wanted, controls = _scene(*lags)
    agreement = rate_agreement(wanted, controls, TIMES)
    heard = np.ones(1200, bool)
    heard[:20] = heard[1150:] = False
    lines = assign_speech(heard, 0.01, TIMES, agreement, [0, 1, 2])
    assert [line.face for line in lines] == [0, 1, None]
    assert lines[0].start == pytest.approx(0.2)
    for line, border in zip(lines, (4, 8), strict=False):
        assert line.end == pytest.approx(border, abs=0.9)
    assert lines[0].agreement > 1.5
    assert lines[0].margin > 1.0
    assert lines[2].agreement < 0.4


def test_a_face_that_is_not_seen_does_not_speak():
    wanted, controls = _scene(0.0, 0.0)
    controls[0, :60] = np.nan
    agreement = rate_agreement(wanted, controls, TIMES)
    assert (agreement[0, :60] == NOT_SEEN).all()
    lines = assign_speech(np.ones(1200, bool), 0.01, TIMES, agreement, [0, 1, 2])
    assert lines[0].face is None
    assert lines[1].face == 0
    assert lines[1].start == pytest.approx(2.4, abs=0.3)


def test_a_mouth_at_rest_speaks_as_little_as_one_off_screen():
    wanted, controls = _scene(0.0, 0.0)
    controls[1] = 0.05 * controls[0]
    agreement = rate_agreement(wanted, controls, TIMES)
    speaking = TIMES < 4
    assert agreement[0, speaking].mean() > 1.2
    assert abs(agreement[1, speaking].mean()) < 0.5 * agreement[0, speaking].mean()


def test_pauses_within_a_line_are_bridged_and_clicks_are_no_lines():
    agreement = np.full((1, len(TIMES)), 0.9)
    heard = np.zeros(1200, bool)
    heard[100:200] = heard[220:300] = heard[600:610] = heard[700:760] = True
    lines = assign_speech(heard, 0.01, TIMES, agreement, [3])
    assert [line.face for line in lines] == [3, 3]
    borders = [border for line in lines for border in (line.start, line.end)]
    assert borders == pytest.approx([1.0, 3.0, 7.0, 7.6])


def test_a_cast_is_written_with_its_sounds(tmp_path: Path):
    rate = 48_000
    samples = np.sin(np.arange(4 * rate) / 20).astype(np.float32) / 4
    write_audio(tmp_path / "mix.wav", Audio(samples, rate))
    lines = [
        SpokenLine(0.5, 1.0, 0, 0.8, 0.5),
        SpokenLine(1.5, 2.0, None, 0.1, 0.1),
        SpokenLine(2.0, 3.0, 1, 0.8, 0.5),
        SpokenLine(3.2, 3.6, 0, 0.8, 0.5),
    ]
    out = tmp_path / "cast.json"
    assert write_cast(out, lines, {0: "mary"}, tmp_path / "mix.wav") == 2
    cast = read_cast(out)
    (role,) = cast.roles
    assert (role.actor, role.face, len(role.lines)) == ("mary", "0", 2)
    assert Path(str(cast.sound)).name == "mix.wav"
    first = role.lines[0]
    assert first.start == pytest.approx(0.45)
    cut = read_audio(Path(first.audio), rate).samples
    np.testing.assert_allclose(cut, samples[round(0.45 * rate) : round(1.05 * rate)], atol=1e-6)
    assert json.loads(out.read_text())["roles"][0]["lines"][1]["audio"].startswith("cast/")
    with pytest.raises(DubfewError, match="nobody of the cast"):
        write_cast(out, lines, {5: "john"}, tmp_path / "mix.wav")
