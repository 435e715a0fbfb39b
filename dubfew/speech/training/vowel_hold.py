"""Held vowels: what a synthesiser does not do by itself, and people do all the time."""

from __future__ import annotations

import numpy as np

from dubfew.media.mel import RATE
from dubfew.speech.espeak import Utterance
from dubfew.speech.visemes import VOWELS, Phone

# A vowel shorter than this has no steady middle, s.
SHORTEST = 0.07
LENGTHS = (0.3, 2.0)  # that are put in, s
# Pitch periods that are looked for, s, and for how long the voice is repeated.
_PERIODS, _LOOP = (1 / 400, 1 / 65), 0.04


def hold(utterance: Utterance, rng: np.random.Generator) -> Utterance:
    """The same sentence with one of its vowels held, as singers, callers and mourners do.

    Some pitch periods from the vowel's middle are repeated, with a little vibrato and tremolo;
    all that comes later moves. A sentence without a long vowel stays as it is.
    """
    vowels = [
        number
        for number, phone in enumerate(utterance.phones)
        if phone.symbol in VOWELS and phone.end - phone.start >= SHORTEST
    ]
    if not vowels:
        return utterance
    number = vowels[rng.integers(len(vowels))]
    vowel = utterance.phones[number]
    at = int((vowel.start + vowel.end) / 2 * RATE)
    loop = _loop(utterance.samples[at : at + int(SHORTEST * RATE)])
    if not len(loop):
        return utterance
    extra = rng.uniform(*LENGTHS)
    t = np.arange(int(extra * RATE)) / RATE
    wobble = 2 * np.pi * rng.uniform(3, 7) * t + rng.uniform(0, 2 * np.pi)
    place = np.cumsum(1 + rng.uniform(0, 0.03) * np.sin(wobble))
    voice = np.interp(place % len(loop), np.arange(len(loop) + 1), np.append(loop, loop[0]))
    voice *= 1 + rng.uniform(0, 0.2) * np.sin(wobble + 1)
    samples = np.concatenate([utterance.samples[:at], voice, utterance.samples[at:]])
    shift = len(voice) / RATE
    phones = [
        *utterance.phones[:number],
        Phone(vowel.symbol, vowel.start, vowel.end + shift),
        *(Phone(p.symbol, p.start + shift, p.end + shift) for p in utterance.phones[number + 1 :]),
    ]
    return Utterance(samples.astype(np.float32), tuple(phones), utterance.language)


def _loop(samples: np.ndarray) -> np.ndarray:
    """Whole pitch periods of a vowel, about `_LOOP` long; empty where there is no voice."""
    low, high = (int(period * RATE) for period in _PERIODS)
    if len(samples) < 2 * high or float(np.abs(samples).max()) < 1e-3:
        return np.zeros(0, np.float32)
    centred = samples - samples.mean()
    likeness = np.correlate(centred, centred, "full")[len(samples) - 1 :]
    period = low + int(np.argmax(likeness[low:high]))
    if likeness[period] < 0.3 * likeness[0]:
        return np.zeros(0, np.float32)
    return samples[: period * max(1, int(_LOOP * RATE / period))]
