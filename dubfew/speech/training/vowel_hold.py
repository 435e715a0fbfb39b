"""Held vowels: what a synthesiser does not do by itself, and people do all the time."""

from __future__ import annotations

import numpy as np

from dubfew.media.audio import MIN_AUDIBLE_PEAK
from dubfew.media.mel import SPEECH_SAMPLE_RATE_HZ
from dubfew.speech.espeak import Utterance
from dubfew.speech.visemes import VOWEL_LETTERS, Phone

# A vowel shorter than this has no steady middle, s.
MIN_VOWEL_SECONDS = 0.07
HOLD_SECONDS_RANGE = (0.3, 2.0)  # that are put in, s
# Pitch periods that are looked for, s, and for how long the voice is repeated.
_PITCH_PERIOD_RANGE_SECONDS, _LOOP_SECONDS = (1 / 400, 1 / 65), 0.04


def hold_random_vowel(utterance: Utterance, rng: np.random.Generator) -> Utterance:
    """The same sentence with one of its vowels held, as singers, callers and mourners do.

    Some pitch periods from the vowel's middle are repeated, with a little vibrato and tremolo; all
    that comes later moves. A sentence without a long vowel stays as it is.
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
    t = np.arange(int(extra * SPEECH_SAMPLE_RATE_HZ)) / SPEECH_SAMPLE_RATE_HZ
    wobble = 2 * np.pi * rng.uniform(3, 7) * t + rng.uniform(0, 2 * np.pi)
    place = np.cumsum(1 + rng.uniform(0, 0.03) * np.sin(wobble))
    voice = np.interp(place % len(loop), np.arange(len(loop) + 1), np.append(loop, loop[0]))
    voice *= 1 + rng.uniform(0, 0.2) * np.sin(wobble + 1)
    samples = np.concatenate([utterance.samples[:at], voice, utterance.samples[at:]])
    shift = len(voice) / SPEECH_SAMPLE_RATE_HZ
    phones = [
        *utterance.phones[:number],
        Phone(vowel.symbol, vowel.start, vowel.end + shift),
        *(Phone(p.symbol, p.start + shift, p.end + shift) for p in utterance.phones[number + 1 :]),
    ]
    return Utterance(samples.astype(np.float32), tuple(phones), utterance.language)


def _pitch_loop(samples: np.ndarray) -> np.ndarray:
    """Whole pitch periods of a vowel, about `_LOOP_SECONDS` long; empty where there is no voice."""
    low, high = (int(period * SPEECH_SAMPLE_RATE_HZ) for period in _PITCH_PERIOD_RANGE_SECONDS)
    if len(samples) < 2 * high or float(np.abs(samples).max()) < MIN_AUDIBLE_PEAK:
        return np.zeros(0, np.float32)
    centred = samples - samples.mean()
    likeness = np.correlate(centred, centred, "full")[len(samples) - 1 :]
    period = low + int(np.argmax(likeness[low:high]))
    if likeness[period] < 0.3 * likeness[0]:
        return np.zeros(0, np.float32)
    return samples[: period * max(1, int(_LOOP_SECONDS * SPEECH_SAMPLE_RATE_HZ / period))]
