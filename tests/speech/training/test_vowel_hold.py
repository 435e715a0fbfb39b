"""Vowels that are held."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("espeakng_loader")

from dubfew.media.mel import SPEECH_SAMPLE_RATE_HZ
from dubfew.speech.espeak import Utterance, get_synthesizer
from dubfew.speech.training.vowel_hold import (
    HOLD_SECONDS_RANGE,
    hold_random_vowel,
    hold_some_vowels,
)
from dubfew.speech.visemes import VOWEL_LETTERS, Phone


def test_one_vowel_is_held_and_all_that_follows_moves() -> None:
    utterance = get_synthesizer().synthesize("Mama has a large car.", "en-us")
    held = hold_random_vowel(utterance, np.random.default_rng(0))
    longer = (len(held.samples) - len(utterance.samples)) / SPEECH_SAMPLE_RATE_HZ
    assert HOLD_SECONDS_RANGE[0] <= longer <= HOLD_SECONDS_RANGE[1]
    assert [p.symbol for p in held.phones] == [p.symbol for p in utterance.phones]
    growth = [
        (b.end - b.start) - (a.end - a.start)
        for a, b in zip(utterance.phones, held.phones, strict=True)
    ]
    (number,) = np.flatnonzero(np.array(growth) > 1e-6)
    assert growth[number] == pytest.approx(longer, abs=1e-6)
    vowel = held.phones[number]
    assert vowel.symbol in VOWEL_LETTERS
    # It sounds all the while, as loud as the vowel was, and the rest is as it was.
    inside = held.samples[
        int(vowel.start * SPEECH_SAMPLE_RATE_HZ) + 400 : int(vowel.end * SPEECH_SAMPLE_RATE_HZ)
        - 400
    ]
    blocks = inside[: len(inside) // 320 * 320].reshape(-1, 320)
    loud = np.sqrt((blocks**2).mean(axis=1))
    assert loud.min() > 0.3 * loud.max()
    before, after = utterance.phones[number].start, utterance.phones[number].end
    np.testing.assert_array_equal(
        held.samples[: int(before * SPEECH_SAMPLE_RATE_HZ)],
        utterance.samples[: int(before * SPEECH_SAMPLE_RATE_HZ)],
    )
    tail = len(utterance.samples) - int(after * SPEECH_SAMPLE_RATE_HZ)
    np.testing.assert_array_equal(held.samples[-tail:], utterance.samples[-tail:])


def test_a_part_of_the_sentences_has_a_held_vowel() -> None:
    sentences = [get_synthesizer().synthesize("Mama has a large car.", "en-us")] * 20
    for fraction, low, high in ((0.0, 0, 0), (0.5, 5, 15), (1.0, 20, 20)):
        held = hold_some_vowels(sentences, fraction, np.random.default_rng(0))
        longer = sum(len(a.samples) > len(b.samples) for a, b in zip(held, sentences, strict=True))
        assert low <= longer <= high


@pytest.mark.parametrize(
    "samples", [np.zeros(16000), np.random.default_rng(0).normal(0, 0.1, 16000)]
)
def test_what_has_no_voice_is_not_held(samples: np.ndarray) -> None:
    utterance = Utterance(samples.astype(np.float32), (Phone("a", 0.0, 1.0),), "en")
    assert hold_random_vowel(utterance, np.random.default_rng(0)) is utterance
