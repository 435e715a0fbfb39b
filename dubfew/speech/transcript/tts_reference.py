"""Synthesized references of transcripts, and the features that recordings are compared with."""

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

# Step of the frames that are aligned, s.
FRAME_SECONDS = MEL_HOP_SAMPLES / SPEECH_SAMPLE_RATE_HZ
# Reference voices as espeak-ng's variant and words per minute: a man, a woman, a deep voice and a
# clear one. More voices would cost time in proportion.
REFERENCE_VOICES = (("", 165), ("f2", 150), ("m3", 180), ("Annie", 165))
# Number of cepstra that are compared; those beyond the 13th describe pitch, which belongs to the
# speaker.
_NUM_CEPSTRA = 13
# Range under the loud frames within which frames count for mean and spread of the features, dB.
_SPEECH_RANGE_DB = 35.0
# Percentile of the frame levels that is taken for the recording's noise, and its largest distance
# from the loud frames, dB.
_NOISE_PERCENTILE, _NOISE_RANGE_DB = 5, 60.0
# Loudness rises from 0 to 1 between these fractions of the way from noise to the loud frames.
_QUIET_FRACTION, _LOUD_FRACTION = 0.3, 0.7


@dataclass(frozen=True)
class SpokenReference:
    """A text as one synthetic voice speaks it, without its pauses.

    Attributes:
        features: standardized cepstra of its frames. [M, D]
        symbols: IPA letters of its phones, in order. [K]
        phone_starts: frame at which each phone begins. [K]
        cue_starts: frame at which each cue begins. [C]
    """

    features: FloatArray
    symbols: tuple[str, ...]
    phone_starts: NDArray[np.int64]
    cue_starts: NDArray[np.int64]

    @property
    def phone_boundaries(self) -> NDArray[np.bool_]:
        """Return True where a phone begins. [M]"""
        found = np.zeros(len(self.features), bool)
        found[self.phone_starts] = True
        return found

    def select_cues(self, start_cue: int, stop_cue: int) -> SpokenReference:
        """Cut out the reference of a range of cues.

        Args:
            start_cue: first cue.
            stop_cue: cue after the last one.
        """
        # Frames of the cues, phones that begin in them, all counted from the first cue.
        edges = np.append(self.cue_starts, len(self.features))
        low, high = edges[start_cue], edges[stop_cue]
        phones = slice(*np.searchsorted(self.phone_starts, [low, high]))
        return SpokenReference(
            self.features[low:high],
            self.symbols[phones],
            self.phone_starts[phones] - low,
            self.cue_starts[start_cue:stop_cue] - low,
        )


def synthesize_reference(
    cues: Sequence[TranscriptCue], voice: str, variant: str, words_per_minute: int
) -> SpokenReference:
    """Synthesize all cues; those without a sound in this language stay empty.

    Args:
        cues: spoken lines.
        voice: voice from `resolve_language`.
        variant: voice variant of espeak-ng; empty is the voice itself.
        words_per_minute: speaking rate.

    Raises:
        DubfewError: No cue has a sound.
        MissingDependencyError: espeak-ng is not installed.
    """
    synthesizer = get_synthesizer()
    features, symbols, phone_starts, cue_starts = [], [], [], []
    num_frames = 0
    for cue in cues:
        cue_starts.append(num_frames)
        try:
            utterance = synthesizer.synthesize(
                cue.text, voice, variant=variant, words_per_minute=words_per_minute
            )
        except DubfewError:
            continue  # it has nothing that can be spoken, such as letters of another script
        frames, phone_of_frame = _spoken_frames(utterance)
        # A phone begins where the number of the phone changes.
        first = np.flatnonzero(np.diff(phone_of_frame, prepend=-1))
        symbols += [utterance.phones[k].symbol for k in phone_of_frame[first]]
        phone_starts += list(num_frames + first)
        features.append(_raw_cepstra(utterance.samples)[frames])
        num_frames += len(frames)
    if not num_frames:
        raise DubfewError(
            f"espeak-ng finds nothing to say in the transcript as {voice!r}: is it this language?"
        )
    joined = np.concatenate(features)
    return SpokenReference(
        _standardize(joined, joined),
        tuple(symbols),
        np.array(phone_starts, np.int64),
        np.array(cue_starts, np.int64),
    )


def _spoken_frames(utterance: Utterance) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Find an utterance's frames outside of pauses, and the phone of each."""
    times = np.arange(len(utterance.samples) // MEL_HOP_SAMPLES) * FRAME_SECONDS
    phone_of_frame = (
        np.searchsorted([phone.start for phone in utterance.phones], times, "right") - 1
    )
    is_pause = np.array([phone.symbol == SILENCE_SYMBOL for phone in utterance.phones])
    frames = np.flatnonzero(~is_pause[phone_of_frame]) if len(is_pause) else np.zeros(0, np.int64)
    return frames, phone_of_frame[frames]


def compute_cepstra(samples: FloatArray) -> FloatArray:
    """Compute cepstra of a recording with mean 0 and even spread over its speech.

    Args:
        samples: mono at 16 kHz. [n]

    Returns:
        Features. [T, D]
    """
    features = _raw_cepstra(samples)
    loud = frame_levels_db(samples) > speech_level_db(samples) - _SPEECH_RANGE_DB
    return _standardize(features, features[loud] if loud.any() else features)


def _raw_cepstra(samples: FloatArray) -> FloatArray:
    """Compute cepstra: the cosine transform of the log-mel bands. [T, D]"""
    return dct(log_mel(samples), axis=1, norm="ortho")[:, :_NUM_CEPSTRA].astype(np.float32)


def _standardize(features: FloatArray, speech_features: FloatArray) -> FloatArray:
    # The root makes the mean distance of two frames independent of the number of cepstra.
    """Subtract the mean and divide by the spread of the speech frames."""
    scale = (speech_features.std(axis=0) + 1e-6) * np.sqrt(_NUM_CEPSTRA)
    return ((features - speech_features.mean(axis=0)) / scale).astype(np.float32)


def compute_loudness(samples: FloatArray) -> FloatArray:
    """Compute loudness: 0 where a recording is as quiet as its noise, 1 where it is loud. [T]"""
    # A noise floor far below speech would make every breath loud, hence its limit.
    level, loud = frame_levels_db(samples), speech_level_db(samples)
    noise = max(float(np.percentile(level, _NOISE_PERCENTILE)), loud - _NOISE_RANGE_DB)
    fraction = (level - noise) / max(loud - noise, 1e-6)
    return np.clip((fraction - _QUIET_FRACTION) / (_LOUD_FRACTION - _QUIET_FRACTION), 0, 1).astype(
        np.float32
    )
