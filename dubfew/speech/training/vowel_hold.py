"""Held vowels in synthetic speech: synthesizers do not make them, but people do all the time."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from dubfew.media.audio import MIN_AUDIBLE_PEAK
from dubfew.media.mel import SPEECH_SAMPLE_RATE_HZ
from dubfew.speech.espeak import Utterance
from dubfew.speech.visemes import VOWEL_LETTERS, Phone

# Shortest vowel that is held, s: shorter ones have no steady middle.
MIN_VOWEL_SECONDS = 0.07
# Range of the time that is inserted, s: calls and songs.
HOLD_SECONDS_RANGE = (0.3, 2.0)
# Range of pitch periods that are searched for, s (65 to 400 Hz), and length of the piece that is
# repeated, s.
_PITCH_PERIOD_RANGE_SECONDS, _LOOP_SECONDS = (1 / 400, 1 / 65), 0.04
# Least autocorrelation at the pitch period, relative to that at 0, of a voiced sound.
_MIN_VOICED_CORRELATION = 0.3
# Ranges of vibrato: its rate, Hz, and the largest deviation of pitch and of amplitude.
_VIBRATO_HZ_RANGE, _MAX_VIBRATO, _MAX_TREMOLO = (3, 7), 0.03, 0.2


def hold_some_vowels(
    utterances: Iterable[Utterance], fraction: float, rng: np.random.Generator
) -> list[Utterance]:
    """Hold one vowel each in a random part of some sentences.

    Args:
        utterances: synthetic sentences.
        fraction: probability that a sentence has a held vowel, 0 to 1.
        rng: source of randomness.
    """
    return [
        hold_random_vowel(utterance, rng) if rng.random() < fraction else utterance
        for utterance in utterances
    ]


def hold_random_vowel(utterance: Utterance, rng: np.random.Generator) -> Utterance:
    """Hold one vowel of a sentence, as singers, callers and mourners do.

    Some pitch periods from the vowel's middle are repeated with a little vibrato and tremolo, and
    everything after it moves. A sentence without a long vowel stays as it is.

    Args:
        utterance: synthetic sentence.
        rng: source of randomness.
    """
    vowels = [
        number
        for number, phone in enumerate(utterance.phones)
        if phone.symbol in VOWEL_LETTERS and phone.end - phone.start >= MIN_VOWEL_SECONDS
    ]
    if not vowels:
        return utterance
    number = vowels[rng.integers(len(vowels))]
    vowel = utterance.phones[number]
    at = int((vowel.start + vowel.end) / 2 * SPEECH_SAMPLE_RATE_HZ)
    loop = _pitch_loop(utterance.samples[at : at + int(MIN_VOWEL_SECONDS * SPEECH_SAMPLE_RATE_HZ)])
    if not len(loop):
        return utterance
    extra = rng.uniform(*HOLD_SECONDS_RANGE)
    # Play the loop with a little vibrato and tremolo.
    t = np.arange(int(extra * SPEECH_SAMPLE_RATE_HZ)) / SPEECH_SAMPLE_RATE_HZ
    phase = 2 * np.pi * rng.uniform(*_VIBRATO_HZ_RANGE) * t + rng.uniform(0, 2 * np.pi)
    place = np.cumsum(1 + rng.uniform(0, _MAX_VIBRATO) * np.sin(phase))
    voice = np.interp(place % len(loop), np.arange(len(loop) + 1), np.append(loop, loop[0]))
    voice *= 1 + rng.uniform(0, _MAX_TREMOLO) * np.sin(phase + 1)
    samples = np.concatenate([utterance.samples[:at], voice, utterance.samples[at:]])
    # Everything after the vowel's middle moves.
    shift = len(voice) / SPEECH_SAMPLE_RATE_HZ
    phones = [
        *utterance.phones[:number],
        Phone(vowel.symbol, vowel.start, vowel.end + shift),
        *(Phone(p.symbol, p.start + shift, p.end + shift) for p in utterance.phones[number + 1 :]),
    ]
    return Utterance(samples.astype(np.float32), tuple(phones), utterance.language)


def _pitch_loop(samples: np.ndarray) -> np.ndarray:
    """Cut whole pitch periods, about `_LOOP_SECONDS` long; empty if the sound is not voiced."""
    low, high = (int(period * SPEECH_SAMPLE_RATE_HZ) for period in _PITCH_PERIOD_RANGE_SECONDS)
    if len(samples) < 2 * high or float(np.abs(samples).max()) < MIN_AUDIBLE_PEAK:
        return np.zeros(0, np.float32)
    # The pitch period is the lag of the highest autocorrelation.
    centered = samples - samples.mean()
    autocorrelation = np.correlate(centered, centered, "full")[len(samples) - 1 :]
    period = low + int(np.argmax(autocorrelation[low:high]))
    if autocorrelation[period] < _MIN_VOICED_CORRELATION * autocorrelation[0]:
        return np.zeros(0, np.float32)
    return samples[: period * max(1, int(_LOOP_SECONDS * SPEECH_SAMPLE_RATE_HZ / period))]
