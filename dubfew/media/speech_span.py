"""The part of a recording in which something is said, found by its level alone."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_opening

from dubfew.media.audio import Audio, AudioReader, stream_audio
from dubfew.media.mel import (
    LOUD_QUANTILE,
    MEL_HOP_SAMPLES,
    MIN_SPEECH_LEVEL_DB,
    SPEECH_SAMPLE_RATE_HZ,
    frame_levels_db,
)
from dubfew.utils.arrays import FloatArray

# Level below that of the loud frames from which a frame counts as silent, dB. The last consonants
# of a sentence are up to 30 dB below its vowels; room noise of a dubbing studio is below 40.
SILENCE_BELOW_LOUD_DB = 35.0
# Level up to which a frame is silent in any recording, dB full scale: dither and hiss, no whisper.
MAX_SILENT_LEVEL_DB = -70.0
# Shortest sound that counts, s. A click of an editor's cut is shorter, a plosive is not.
MIN_SOUND_SECONDS = 0.04


@dataclass(frozen=True)
class SpeechSpan:
    """Length of a recording, and the part of it that is not silent.

    Attributes:
        seconds: length of the recording, s.
        start: begin of the first sound, s; equal to ``end`` if all is silent.
        end: end of the last sound, s.
        is_whole: whether all of the recording was looked at; otherwise there may be sound after
            ``end``.
    """

    seconds: float
    start: float
    end: float
    is_whole: bool = True


def find_speech_span(audio: Audio) -> SpeechSpan:
    """Find where the first sound of a recording begins and where the last one ends.

    Noise and music that are about as loud as the speech count as sound.

    Args:
        audio: mono recording at 16 kHz.

    Returns:
        The span, accurate to a few hundredths of a second.
    """
    return _span_of_levels(frame_levels_db(audio.samples), audio.duration)


def read_speech_span(
    path: Path | str, *, track: int | None = None, seconds: float | None = None
) -> SpeechSpan:
    """Find the span of a file's sound, in memory that hardly grows with its length.

    Args:
        path: a video or audio file.
        track: number of the sound track, from 1; None is the main one.
        seconds: time after which sound is not looked at where the file states its length, s; None
            looks at all of it.

    Raises:
        MediaError: The file is unreadable or has no sound.
    """
    stated = None if seconds is None else _read_stated_seconds(Path(path), track)
    if seconds is None or stated is None or stated <= seconds:
        return _span_of_levels(*read_levels_db(path, track=track))
    span = _span_of_levels(*read_levels_db(path, track=track, seconds=seconds))
    return SpeechSpan(stated, span.start, span.end, is_whole=False)


def _read_stated_seconds(path: Path, track: int | None) -> float | None:
    """Read the length of a sound that its file states, from the picture's first frame on, s."""
    with AudioReader(path, track) as reader:
        return None if reader.duration is None else reader.duration + reader.offset


def read_levels_db(
    path: Path | str, *, track: int | None = None, seconds: float | None = None
) -> tuple[FloatArray, float]:
    """Read the level of each mel frame of a file's sound, and the length that was read, in s.

    Args:
        path: a video or audio file.
        track: number of the sound track, from 1; None is the main one.
        seconds: time to read, s, to the next whole second; None reads all.

    Raises:
        MediaError: The file is unreadable or has no sound.
    """
    levels, read = [], 0.0
    # Whole seconds are whole frames: only windows across their borders come out a little quieter.
    for block in stream_audio(path, SPEECH_SAMPLE_RATE_HZ, SPEECH_SAMPLE_RATE_HZ, track=track):
        frames = -(-len(block) // MEL_HOP_SAMPLES)
        levels.append(frame_levels_db(block)[:frames])
        read += len(block) / SPEECH_SAMPLE_RATE_HZ
        if seconds is not None and read >= seconds:
            break
    return np.concatenate(levels) if levels else np.zeros(0, np.float32), read


def find_sound(levels: FloatArray) -> NDArray[np.bool_]:
    """Tell which mel frames are not silent.

    Args:
        levels: level of each frame, dB full scale. [T]

    Returns:
        True where something is heard for at least `MIN_SOUND_SECONDS`. [T]
    """
    if not len(levels):
        return np.zeros(0, np.bool_)
    loudest = max(float(np.quantile(levels, LOUD_QUANTILE)), MIN_SPEECH_LEVEL_DB)
    loud = levels > max(loudest - SILENCE_BELOW_LOUD_DB, MAX_SILENT_LEVEL_DB)
    hop = MEL_HOP_SAMPLES / SPEECH_SAMPLE_RATE_HZ
    return np.asarray(binary_opening(loud, np.ones(round(MIN_SOUND_SECONDS / hop))))


def _span_of_levels(levels: FloatArray, seconds: float) -> SpeechSpan:
    """Find the span from the level of each mel frame."""
    hop = MEL_HOP_SAMPLES / SPEECH_SAMPLE_RATE_HZ
    (rows,) = np.nonzero(find_sound(levels))
    if not len(rows):
        return SpeechSpan(seconds, 0.0, 0.0)
    return SpeechSpan(seconds, float(rows[0] * hop), min(float((rows[-1] + 1) * hop), seconds))
