"""Alignment finds the sounds of a text in a recording of another voice."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("espeakng_loader")

from dubfew.errors import DubfewError
from dubfew.media import Audio
from dubfew.media.mel import RATE
from dubfew.speech.espeak import espeak
from dubfew.speech.training.augmentation import coloured_noise
from dubfew.speech.transcript import segments
from dubfew.speech.transcript.align import Alignment, align, known_language
from dubfew.speech.transcript.transcript import Cue
from dubfew.speech.visemes import SILENCE

TEXTS = (
    "My mother makes plum jam every summer.",
    "Please put five boxes on the table.",
    "We saw a huge blue bird above the river.",
)


def recording(pauses: tuple[float, ...]) -> tuple[np.ndarray, list[tuple[str, float]]]:
    """The texts by a voice that is no reference, in noise, each after a pause; and its sounds."""
    rng = np.random.default_rng(2)
    parts, truth, length = [], [], 0
    for text, pause in zip(TEXTS, pauses, strict=True):
        said = espeak().say(text, "en-us", variant="f4", rate=140, pitch=60)
        before = round(pause * RATE)
        truth += [(p.symbol, p.start + (length + before) / RATE) for p in said.phones if p.symbol]
        parts += [np.zeros(before, np.float32), said.samples]
        length += before + len(said.samples)
    parts.append(np.zeros(RATE // 2, np.float32))
    sound = np.concatenate(parts)
    return sound + 0.003 * coloured_noise(len(sound), rng), truth


def starts(alignment: Alignment) -> list[tuple[str, float]]:
    return [(p.symbol, p.start) for p in alignment.phones if p.symbol != SILENCE]


def assert_found(alignment: Alignment, truth: list[tuple[str, float]]) -> None:
    found = starts(alignment)
    assert [symbol for symbol, _ in found] == [symbol for symbol, _ in truth]
    error = np.abs(np.array([t for _, t in found]) - np.array([t for _, t in truth]))
    assert np.median(error) < 0.012
    assert np.percentile(error, 90) < 0.05
    for before, after in zip(alignment.phones, alignment.phones[1:], strict=False):
        assert before.start <= before.end <= after.start + 1e-9


@pytest.fixture(scope="module")
def said():
    return recording((0.7, 1.5, 0.05))


def test_a_script_in_one_piece(said):
    sound, truth = said
    found = align(Audio(sound, RATE), [Cue(text) for text in TEXTS], "en-us")
    assert_found(found, truth)
    assert found.likeness < 0.85
    # The long pause between the first two is silence, not a stretched sound.
    pauses = [p for p in found.phones if p.symbol == SILENCE and p.end - p.start > 1.3]
    assert len(pauses) == 1


def test_a_long_recording_in_passages(said, monkeypatch):
    sound, truth = said
    monkeypatch.setattr(segments, "_WHOLE", 200)
    monkeypatch.setattr(segments, "_PASSAGE", 300)
    parts = []
    cut = segments._cut

    def spy(*arguments):
        parts.extend(cut(*arguments))
        return parts

    monkeypatch.setattr(segments, "_cut", spy)
    found = align(Audio(sound, RATE), [Cue(text) for text in TEXTS], "en-us")
    assert len(parts) == 3
    assert parts[0].stop <= parts[1].start
    assert_found(found, truth)


def test_a_script_for_hours_needs_times(said, monkeypatch):
    monkeypatch.setattr(segments, "_WHOLE", 200)
    monkeypatch.setattr(segments, "_CELLS", 100.0)
    with pytest.raises(DubfewError, match="give subtitles"):
        align(Audio(said[0], RATE), [Cue(text) for text in TEXTS], "en-us")


def test_subtitles_are_found_around_their_times(said):
    sound, truth = said
    # Only the first and the last line, with times as careless as subtitles are.
    first, last, end = truth[0][1], truth[-1][1], len(sound) / RATE
    cues = [Cue(TEXTS[0], first - 0.2, first + 2.0), Cue(TEXTS[2], last - 2.1, end + 3)]
    found = starts(align(Audio(sound, RATE), cues, "en-us"))
    for mine, theirs in ((found[:20], truth[:20]), (found[-20:], truth[-20:])):
        error = [a[1] - b[1] for a, b in zip(mine, theirs, strict=True)]
        assert np.median(np.abs(error)) < 0.015


@pytest.mark.parametrize(
    "text",
    [
        "The weather report said nothing about snow, but nobody was out in the streets at night.",
        "Hello. " * 3,
        "a" * 2000,
    ],
)
def test_another_text_is_refused(said, text):
    with pytest.raises(DubfewError, match="transcript") as caught:
        align(Audio(said[0], RATE), [Cue(text)], "en-us")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("count", [0, 1, RATE // 2])
def test_silence_holds_no_text(count):
    with pytest.raises(DubfewError):
        align(Audio(np.zeros(count, np.float32), RATE), [Cue("Hello there.")], "en")
    with pytest.raises(DubfewError, match="later than the sound"):
        align(Audio(np.zeros(count, np.float32), RATE), [Cue("Hello.", 5.0, 6.0)], "en")


def test_languages_by_their_codes():
    for code in ("en", "en-us", "EN_GB", " de ", "pt-br", "zh", "fr-fr"):
        assert len(espeak().say("la", known_language(code)).samples)
    with pytest.raises(DubfewError, match=r"no language 'english': there are .*\bde, .*\bpt-br"):
        known_language("english")


def test_a_text_in_foreign_letters(said):
    with pytest.raises(DubfewError):
        align(Audio(said[0], RATE), [Cue("‎‏ ⠀")], "en")
