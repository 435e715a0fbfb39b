"""Alignment finds the sounds of a text in a recording of another voice."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("espeakng_loader")

from dubfew.errors import DubfewError
from dubfew.media import Audio
from dubfew.media.mel import SPEECH_SAMPLE_RATE_HZ
from dubfew.speech.espeak import get_synthesizer
from dubfew.speech.training.augmentation import colored_noise
from dubfew.speech.transcript import segments
from dubfew.speech.transcript.align import TranscriptAlignment, align_transcript, resolve_language
from dubfew.speech.transcript.transcript import TranscriptCue
from dubfew.speech.visemes import SILENCE_SYMBOL

TEXTS = (
    "My mother makes plum jam every summer.",
    "Please put five boxes on the table.",
    "We saw a huge blue bird above the river.",
)


def speak_with_pauses(pauses: tuple[float, ...]) -> tuple[np.ndarray, list[tuple[str, float]]]:
    """Speak the texts with a held-out voice in noise, each after a pause.

    Returns:
        Samples, and symbol and start (s) of every phone.
    """
    rng = np.random.default_rng(2)
    parts, truth, length = [], [], 0
    for text, pause in zip(TEXTS, pauses, strict=True):
        recording = get_synthesizer().synthesize(
            text, "en-us", variant="f4", words_per_minute=140, pitch=60
        )
        before = round(pause * SPEECH_SAMPLE_RATE_HZ)
        truth += [
            (p.symbol, p.start + (length + before) / SPEECH_SAMPLE_RATE_HZ)
            for p in recording.phones
            if p.symbol
        ]
        parts += [np.zeros(before, np.float32), recording.samples]
        length += before + len(recording.samples)
    parts.append(np.zeros(SPEECH_SAMPLE_RATE_HZ // 2, np.float32))
    sound = np.concatenate(parts)
    return sound + 0.003 * colored_noise(len(sound), rng), truth


def starts(alignment: TranscriptAlignment) -> list[tuple[str, float]]:
    return [(p.symbol, p.start) for p in alignment.phones if p.symbol != SILENCE_SYMBOL]


def assert_found(alignment: TranscriptAlignment, truth: list[tuple[str, float]]) -> None:
    found = starts(alignment)
    assert [symbol for symbol, _ in found] == [symbol for symbol, _ in truth]
    error = np.abs(np.array([t for _, t in found]) - np.array([t for _, t in truth]))
    assert np.median(error) < 0.012
    assert np.percentile(error, 90) < 0.05
    for before, after in zip(alignment.phones, alignment.phones[1:], strict=False):
        assert before.start <= before.end <= after.start + 1e-9


@pytest.fixture(scope="module")
def recording():
    return speak_with_pauses((0.7, 1.5, 0.05))


@pytest.mark.slow
def test_a_script_in_one_piece(recording):
    sound, truth = recording
    found = align_transcript(
        Audio(sound, SPEECH_SAMPLE_RATE_HZ), [TranscriptCue(text) for text in TEXTS], "en-us"
    )
    assert_found(found, truth)
    assert found.cost_ratio < 0.85
    # The long pause between the first two is silence, not a stretched sound.
    pauses = [p for p in found.phones if p.symbol == SILENCE_SYMBOL and p.end - p.start > 1.3]
    assert len(pauses) == 1


@pytest.mark.slow
def test_a_long_recording_in_segments(recording, monkeypatch):
    sound, truth = recording
    monkeypatch.setattr(segments, "_MAX_WHOLE_FRAMES", 200)
    monkeypatch.setattr(segments, "_SEGMENT_FRAMES", 300)
    parts = []
    cut = segments._cut_segments

    def spy(*arguments):
        parts.extend(cut(*arguments))
        return parts

    monkeypatch.setattr(segments, "_cut_segments", spy)
    found = align_transcript(
        Audio(sound, SPEECH_SAMPLE_RATE_HZ), [TranscriptCue(text) for text in TEXTS], "en-us"
    )
    assert len(parts) == 3
    assert parts[0].stop_frame <= parts[1].start_frame
    assert_found(found, truth)


@pytest.mark.slow
def test_a_script_for_hours_needs_times(recording, monkeypatch):
    monkeypatch.setattr(segments, "_MAX_WHOLE_FRAMES", 200)
    monkeypatch.setattr(segments, "_MAX_COARSE_CELLS", 100.0)
    cues = [TranscriptCue(text) for text in TEXTS]
    with pytest.raises(DubfewError, match="subtitles"):
        align_transcript(Audio(recording[0], SPEECH_SAMPLE_RATE_HZ), cues, "en-us")


@pytest.mark.slow
def test_subtitles_are_found_around_their_times(recording):
    sound, truth = recording
    # Only the first and the last line, with times as careless as subtitles are.
    first, last, end = truth[0][1], truth[-1][1], len(sound) / SPEECH_SAMPLE_RATE_HZ
    cues = [
        TranscriptCue(TEXTS[0], first - 0.2, first + 2.0),
        TranscriptCue(TEXTS[2], last - 2.1, end + 3),
    ]
    found = starts(align_transcript(Audio(sound, SPEECH_SAMPLE_RATE_HZ), cues, "en-us"))
    for mine, theirs in ((found[:20], truth[:20]), (found[-20:], truth[-20:])):
        error = [a[1] - b[1] for a, b in zip(mine, theirs, strict=True)]
        assert np.median(np.abs(error)) < 0.015


@pytest.mark.slow
@pytest.mark.parametrize(
    "text",
    [
        "The weather report said nothing about snow, but nobody was out in the streets at night.",
        "Hello. " * 3,
        "a" * 2000,
    ],
)
def test_another_text_is_refused(recording, text):
    with pytest.raises(DubfewError, match="transcript") as caught:
        align_transcript(Audio(recording[0], SPEECH_SAMPLE_RATE_HZ), [TranscriptCue(text)], "en-us")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("count", [0, 1, SPEECH_SAMPLE_RATE_HZ // 2])
def test_silence_holds_no_text(count):
    with pytest.raises(DubfewError):
        align_transcript(
            Audio(np.zeros(count, np.float32), SPEECH_SAMPLE_RATE_HZ),
            [TranscriptCue("Hello there.")],
            "en",
        )
    with pytest.raises(DubfewError, match="subtitle"):
        align_transcript(
            Audio(np.zeros(count, np.float32), SPEECH_SAMPLE_RATE_HZ),
            [TranscriptCue("Hello.", 5.0, 6.0)],
            "en",
        )


def test_languages_by_their_codes():
    for code in ("en", "en-us", "EN_GB", " de ", "pt-br", "zh", "fr-fr"):
        assert len(get_synthesizer().synthesize("la", resolve_language(code)).samples)
    with pytest.raises(DubfewError, match=r"no language 'english': there are .*\bde, .*\bpt-br"):
        resolve_language("english")


def test_a_text_in_foreign_letters(recording):
    with pytest.raises(DubfewError):
        align_transcript(Audio(recording[0], SPEECH_SAMPLE_RATE_HZ), [TranscriptCue("‎‏ ⠀")], "en")
