"""The part of a recording in which something is said, found by its level alone."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import binary_opening

from dubfew.media.audio import Audio
from dubfew.media.mel import (
    MEL_HOP_SAMPLES,
    SPEECH_SAMPLE_RATE_HZ,
    frame_levels_db,
    speech_level_db,
)

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
    """

    seconds: float
    start: float
    end: float


def find_speech_span(audio: Audio) -> SpeechSpan:
    """Find where the first sound of a recording begins and where the last one ends.

    Noise and music that are about as loud as the speech count as sound.

    Args:
        audio: mono recording at 16 kHz.

    Returns:
        The span, accurate to a few hundredths of a second.
    """
    levels = frame_levels_db(audio.samples)
    loud = levels > max(speech_level_db(audio.samples) - SILENCE_BELOW_LOUD_DB, MAX_SILENT_LEVEL_DB)
    hop = MEL_HOP_SAMPLES / SPEECH_SAMPLE_RATE_HZ
    (rows,) = np.nonzero(binary_opening(loud, np.ones(round(MIN_SOUND_SECONDS / hop))))
    if not len(rows):
        return SpeechSpan(audio.duration, 0.0, 0.0)
    return SpeechSpan(
        audio.duration, float(rows[0] * hop), min(float((rows[-1] + 1) * hop), audio.duration)
    )
