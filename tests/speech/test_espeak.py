"""Synthetic speech: phoneme times are those of the sound."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("espeakng_loader")

from dubfew.errors import DubfewError
from dubfew.media.mel import SPEECH_SAMPLE_RATE_HZ, frame_levels_db
from dubfew.speech.espeak import get_synthesizer, load_sentences
from dubfew.speech.training.examples import HELD_OUT_LANGUAGES, HELD_OUT_VARIANTS
from dubfew.speech.visemes import SILENCE_SYMBOL


def test_sounds_fill_the_utterance_without_gaps() -> None:
    utterance = get_synthesizer().synthesize("Die Mutter backt einen Kuchen.", "de", variant="f2")
    assert utterance.phones[0].start == 0.0
    for before, after in zip(utterance.phones, utterance.phones[1:], strict=False):
        assert before.end == pytest.approx(after.start)
        assert after.end > after.start
    seconds = len(utterance.samples) / SPEECH_SAMPLE_RATE_HZ
    assert utterance.phones[-1].end == pytest.approx(seconds, abs=0.02)
    assert "m" in [phone.symbol for phone in utterance.phones]


def test_a_voiceless_plosive_owns_the_silence_of_its_closure() -> None:
    utterance = get_synthesizer().synthesize("appa appa", "it")
    level = frame_levels_db(utterance.samples)
    closures = [phone for phone in utterance.phones if phone.symbol == "p"]
    assert closures
    for phone in closures:
        inside = level[int(phone.start * 100) + 2 : int(phone.end * 100) - 2]
        assert inside.min() < level.max() - 30


def test_pauses_are_silence() -> None:
    utterance = get_synthesizer().synthesize("One. Two.", "en-us")
    assert SILENCE_SYMBOL in [phone.symbol for phone in utterance.phones]


@pytest.mark.slow
def test_every_sentence_can_be_said() -> None:
    texts = load_sentences()
    assert len(texts) >= 10
    assert set(HELD_OUT_LANGUAGES) <= set(texts)
    for language, lines in texts.items():
        utterance = get_synthesizer().synthesize(lines[0], language)
        assert np.abs(utterance.samples).max() > 0.05
        assert len([phone for phone in utterance.phones if phone.symbol]) > 5


def test_held_out_voices_exist() -> None:
    for variant in HELD_OUT_VARIANTS:
        assert len(get_synthesizer().synthesize("ama", "it", variant=variant).samples)


def test_phonemes_keep_the_punctuation_and_the_language() -> None:
    synthesizer = get_synthesizer()
    assert synthesizer.phonemize("Mama, papa.", "it") == "m\u02c8ama, p\u02c8apa."
    assert "ʃ" in synthesizer.phonemize("Schule", "de")
    assert synthesizer.phonemize("", "de") == ""
    with pytest.raises(DubfewError, match="no voice"):
        synthesizer.phonemize("x", "no-such-language")


def test_unknown_voice_is_an_error() -> None:
    with pytest.raises(DubfewError, match="no voice"):
        get_synthesizer().synthesize("x", "no-such-language")
