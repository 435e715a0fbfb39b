"""Phonemes by PocketSphinx, on speech whose phonemes are known."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from dubfew.media.mel import SPEECH_SAMPLE_RATE_HZ
from dubfew.speech.espeak import get_synthesizer
from dubfew.speech.transcript import recognize
from dubfew.speech.transcript.recognize import MAX_SEGMENT_SECONDS, recognize_lip_gap
from dubfew.speech.visemes import SILENCE_SYMBOL, Phone, blend_visemes

pytest.importorskip("pocketsphinx")


@pytest.fixture(scope="module")
def utterance():
    return get_synthesizer().synthesize(
        "Papa saw a big farm, and my mother has five more apples.", "en-us"
    )


def test_recognized_phones_move_the_lips_as_the_spoken_ones_do(utterance):
    phones = recognize.recognize_segment(utterance.samples)
    assert len(phones) > 20
    for before, after in pairwise(phones):
        assert after.start == pytest.approx(before.end, abs=1e-9)
    times = np.arange(0.0, len(utterance.samples) / SPEECH_SAMPLE_RATE_HZ, 0.01)
    true, segments = blend_visemes(utterance.phones, times), blend_visemes(phones, times)
    r = np.corrcoef(true[:, 0] - true[:, 1], segments[:, 0] - segments[:, 1])[0, 1]
    # espeak-ng's voice varies from call to call: 0.47 to 0.71 here, 0.16 to 0.19 with another line.
    assert r > 0.3


def test_silence_and_empty_sound():
    for samples in (np.zeros(0, np.float32), np.ones(1, np.float32), np.zeros(8000, np.float32)):
        assert all(phone.symbol == SILENCE_SYMBOL for phone in recognize.recognize_segment(samples))
        gap = recognize_lip_gap([samples], np.array([-1.0, 0.0, 0.3, 5.0]))
        np.testing.assert_allclose(gap, 0, atol=1e-6)


def test_long_sound_is_cut_where_it_is_quiet(monkeypatch):
    """A tone with a pause in every second, in odd blocks: segments are short, no tone is cut."""
    seconds = 75
    times = np.arange(seconds * SPEECH_SAMPLE_RATE_HZ) / SPEECH_SAMPLE_RATE_HZ
    sound = np.where(times % 1 < 0.8, np.sin(900 * times), 0).astype(np.float32)
    segments: list[np.ndarray] = []

    def note(samples):
        segments.append(samples)
        return (Phone("a", 0.0, len(samples) / SPEECH_SAMPLE_RATE_HZ),)

    monkeypatch.setattr(recognize, "recognize_segment", note)
    gap = recognize_lip_gap(np.array_split(sound, 61), np.arange(0, seconds + 2, 0.1))
    assert max(map(len, segments)) <= MAX_SEGMENT_SECONDS * SPEECH_SAMPLE_RATE_HZ
    assert len(segments) <= 5
    np.testing.assert_array_equal(np.concatenate(segments), sound)
    cuts = np.cumsum([len(segment) for segment in segments])[:-1] / SPEECH_SAMPLE_RATE_HZ
    assert ((cuts % 1 > 0.8) & (cuts % 1 < 1.0)).all()
    # Every segment was placed on the clock of the whole recording.
    assert (gap[: seconds * 10] > 0.05).all()
    assert (gap[seconds * 10 + 1 :] < 1e-4).all()
