"""What a transcript sounds like, and how recordings and references are compared."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.fft import dct

from dubfew.errors import DubfewError
from dubfew.media.mel import (
    MEL_HOP_SAMPLES,
    SPEECH_SAMPLE_RATE_HZ,
    frame_levels_db,
    log_mel,
    speech_level_db,
)
from dubfew.speech.espeak import Utterance, get_synthesizer
from dubfew.speech.transcript.transcript import TranscriptCue
from dubfew.speech.visemes import SILENCE_SYMBOL
from dubfew.utils.arrays import FloatArray

FRAME_SECONDS = MEL_HOP_SAMPLES / SPEECH_SAMPLE_RATE_HZ  # 10 ms
# Reference voices (espeak's variant, words per minute): a man, a woman, a deep and a clear one.
REFERENCE_VOICES = (("", 165), ("f2", 150), ("m3", 180), ("Annie", 165))
# Cepstra beyond the 13th are pitch, which is the speaker's.
_NUM_CEPSTRA = 13
# Frames this far under the loud ones are no speech and have no say in mean and spread.
_SPEECH_RANGE_DB = 35.0
# Between the recording's noise (5th percentile of the level, at most so far under the loud
# frames) and its loud frames: quiet up to the first share, loud from the second on.
_NOISE_RANGE_DB, _QUIET_FRACTION, _LOUD_FRACTION = 60.0, 0.3, 0.7


@dataclass(frozen=True)
class SpokenReference:
    """A text as one synthetic voice says it, without its pauses.

    Attributes:
        features: [M, D]
        symbols: its sounds, in order. [K]
        phone_starts: frame in which each sound begins. [K]
        cue_starts: frame in which each cue begins. [C]
    """

    features: FloatArray
    symbols: tuple[str, ...]
    phone_starts: NDArray[np.int64]
    cue_starts: NDArray[np.int64]

    @property
    def phone_boundaries(self) -> NDArray[np.bool_]:
        """True where a sound begins. [M]"""
        found = np.zeros(len(self.features), bool)
        found[self.phone_starts] = True
        return found

    def select_cues(self, start_cue: int, stop_cue: int) -> SpokenReference:
        """Cues [first, last)."""
        edges = np.append(self.cue_starts, len(self.features))
        low, high = edges[start_cue], edges[stop_cue]
        sounds = slice(*np.searchsorted(self.phone_starts, [low, high]))
        return SpokenReference(
            self.features[low:high],
            self.symbols[sounds],
            self.phone_starts[sounds] - low,
            self.cue_starts[start_cue:stop_cue] - low,
        )


def synthesize_reference(
    cues: Sequence[TranscriptCue], voice: str, variant: str, words_per_minute: int
) -> SpokenReference:
    """Have espeak-ng say every cue; cues without a sound in this language are silent.

    Raises:
        DubfewError: no cue has a sound.
    """
    synthesiser = get_synthesizer()
    sounds, symbols, starts, begins = [], [], [], []
    rows = 0
    for cue in cues:
        begins.append(rows)
        try:
            utterance = synthesiser.synthesize(
                cue.text, voice, variant=variant, words_per_minute=words_per_minute
            )
        except DubfewError:
            continue  # nothing in it can be said: foreign letters, say
        frames, sound_of_frame = _spoken_frames(utterance)
        first = np.flatnonzero(np.diff(sound_of_frame, prepend=-1))
        symbols += [utterance.phones[k].symbol for k in sound_of_frame[first]]
        starts += list(rows + first)
        sounds.append(_raw_cepstra(utterance.samples)[frames])
        rows += len(frames)
    if not rows:
        raise DubfewError(
            f"espeak-ng finds nothing to say in the transcript as {voice!r}: is it this language?"
        )
    features = np.concatenate(sounds)
    return SpokenReference(
        _standardize(features, features),
        tuple(symbols),
        np.array(starts, np.int64),
        np.array(begins, np.int64),
    )


def _spoken_frames(utterance: Utterance) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Frames of an utterance that are no pause, and the sound that each belongs to."""
    times = np.arange(len(utterance.samples) // MEL_HOP_SAMPLES) * FRAME_SECONDS
    sound = np.searchsorted([phone.start for phone in utterance.phones], times, "right") - 1
    pause = np.array([phone.symbol == SILENCE_SYMBOL for phone in utterance.phones])
    frames = np.flatnonzero(~pause[sound]) if len(pause) else np.zeros(0, np.int64)
    return frames, sound[frames]


def compute_cepstra(samples: FloatArray) -> FloatArray:
    """Cepstra of a recording, mean 0 and even spread over its speech. [T, D]"""
    features = _raw_cepstra(samples)
    loud = frame_levels_db(samples) > speech_level_db(samples) - _SPEECH_RANGE_DB
    return _standardize(features, features[loud] if loud.any() else features)


def _raw_cepstra(samples: FloatArray) -> FloatArray:
    return dct(log_mel(samples), axis=1, norm="ortho")[:, :_NUM_CEPSTRA].astype(np.float32)


def _standardize(features: FloatArray, speech_features: FloatArray) -> FloatArray:
    scale = (speech_features.std(axis=0) + 1e-6) * np.sqrt(_NUM_CEPSTRA)
    return ((features - speech_features.mean(axis=0)) / scale).astype(np.float32)


def compute_loudness(samples: FloatArray) -> FloatArray:
    """0 where a recording is as quiet as its noise, 1 where it is loud. [T]"""
    level, loud = frame_levels_db(samples), speech_level_db(samples)
    noise = max(float(np.percentile(level, 5)), loud - _NOISE_RANGE_DB)
    share = (level - noise) / max(loud - noise, 1e-6)
    return np.clip((share - _QUIET_FRACTION) / (_LOUD_FRACTION - _QUIET_FRACTION), 0, 1).astype(
        np.float32
    )
