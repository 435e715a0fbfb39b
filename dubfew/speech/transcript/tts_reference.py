"""What a transcript sounds like, and how recordings and references are compared."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.fft import dct

from dubfew.errors import DubfewError
from dubfew.media.mel import HOP, RATE, level_db, log_mel, speech_level
from dubfew.speech.espeak import Utterance, espeak
from dubfew.speech.transcript.transcript import Cue
from dubfew.speech.visemes import SILENCE

FloatArray = NDArray[np.float32]

FRAME = HOP / RATE  # 10 ms
# Reference voices (espeak's variant, words per minute): a man, a woman, a deep and a clear one.
VOICES = (("", 165), ("f2", 150), ("m3", 180), ("Annie", 165))
# Cepstra beyond the 13th are pitch, which is the speaker's.
_CEPSTRA = 13
# Frames this far under the loud ones are no speech and have no say in mean and spread.
_SPEECH_RANGE_DB = 35.0
# Between the recording's noise (5th percentile of the level, at most so far under the loud
# frames) and its loud frames: quiet up to the first share, loud from the second on.
_NOISE_RANGE_DB, _QUIET, _SPEECH = 60.0, 0.3, 0.7


@dataclass(frozen=True)
class Reference:
    """A text as one synthetic voice says it, without its pauses.

    Attributes:
        features: [M, D]
        symbols: its sounds, in order. [K]
        starts: frame in which each sound begins. [K]
        cues: frame in which each cue begins. [C]
    """

    features: FloatArray
    symbols: tuple[str, ...]
    starts: NDArray[np.int64]
    cues: NDArray[np.int64]

    @property
    def boundary(self) -> NDArray[np.bool_]:
        """True where a sound begins. [M]"""
        found = np.zeros(len(self.features), bool)
        found[self.starts] = True
        return found

    def part(self, first: int, last: int) -> Reference:
        """Cues [first, last)."""
        edges = np.append(self.cues, len(self.features))
        low, high = edges[first], edges[last]
        sounds = slice(*np.searchsorted(self.starts, [low, high]))
        return Reference(
            self.features[low:high],
            self.symbols[sounds],
            self.starts[sounds] - low,
            self.cues[first:last] - low,
        )


def say(cues: Sequence[Cue], voice: str, variant: str, rate: int) -> Reference:
    """Have espeak-ng say every cue; cues without a sound in this language are silent.

    Raises:
        DubfewError: no cue has a sound.
    """
    synthesiser = espeak()
    sounds, symbols, starts, begins = [], [], [], []
    rows = 0
    for cue in cues:
        begins.append(rows)
        try:
            utterance = synthesiser.say(cue.text, voice, variant=variant, rate=rate)
        except DubfewError:
            continue  # nothing in it can be said: foreign letters, say
        frames, sound_of_frame = _spoken(utterance)
        first = np.flatnonzero(np.diff(sound_of_frame, prepend=-1))
        symbols += [utterance.phones[k].symbol for k in sound_of_frame[first]]
        starts += list(rows + first)
        sounds.append(_plain_cepstra(utterance.samples)[frames])
        rows += len(frames)
    if not rows:
        raise DubfewError(
            f"espeak-ng finds nothing to say in the transcript as {voice!r}: is it this language?"
        )
    features = np.concatenate(sounds)
    return Reference(
        _standardised(features, features),
        tuple(symbols),
        np.array(starts, np.int64),
        np.array(begins, np.int64),
    )


def _spoken(utterance: Utterance) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Frames of an utterance that are no pause, and the sound that each belongs to."""
    times = np.arange(len(utterance.samples) // HOP) * FRAME
    sound = np.searchsorted([phone.start for phone in utterance.phones], times, "right") - 1
    pause = np.array([phone.symbol == SILENCE for phone in utterance.phones])
    frames = np.flatnonzero(~pause[sound]) if len(pause) else np.zeros(0, np.int64)
    return frames, sound[frames]


def cepstra(samples: FloatArray) -> FloatArray:
    """Cepstra of a recording, mean 0 and even spread over its speech. [T, D]"""
    features = _plain_cepstra(samples)
    loud = level_db(samples) > speech_level(samples) - _SPEECH_RANGE_DB
    return _standardised(features, features[loud] if loud.any() else features)


def _plain_cepstra(samples: FloatArray) -> FloatArray:
    return dct(log_mel(samples), axis=1, norm="ortho")[:, :_CEPSTRA].astype(np.float32)


def _standardised(features: FloatArray, speech: FloatArray) -> FloatArray:
    scale = (speech.std(axis=0) + 1e-6) * np.sqrt(_CEPSTRA)
    return ((features - speech.mean(axis=0)) / scale).astype(np.float32)


def loudness(samples: FloatArray) -> FloatArray:
    """0 where a recording is as quiet as its noise, 1 where it is loud. [T]"""
    level, loud = level_db(samples), speech_level(samples)
    noise = max(float(np.percentile(level, 5)), loud - _NOISE_RANGE_DB)
    share = (level - noise) / max(loud - noise, 1e-6)
    return np.clip((share - _QUIET) / (_SPEECH - _QUIET), 0, 1).astype(np.float32)
