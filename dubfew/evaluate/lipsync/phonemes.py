"""Agreement of a mouth with the phonemes in its sound, which no model of dubfew takes part in."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dubfew.evaluate.face_geometry import has_face
from dubfew.media import probe, stream_audio
from dubfew.media.mel import SPEECH_SAMPLE_RATE_HZ
from dubfew.motion.extraction import motion_from_landmarks
from dubfew.speech.transcript.recognize import recognize_lip_gap
from dubfew.utils.signal import estimate_curve_lag

# Step of the grid on which the lip gap of the phonemes is computed, s. The recognizer's own frames
# are as long.
CURVE_STEP_SECONDS = 0.01
# Correlation below which the best lag says nothing. Frozen mouths and those of other people come to
# 0.16 to 0.23 at some lag or other, mouths that go with their sound to 0.63 and more.
MIN_CLEAR_R = 0.4


@dataclass(frozen=True)
class PhonemeSync:
    """Agreement of a mouth with its own sound; NaN where nothing moves or nothing is recognized.

    Attributes:
        heard_r: correlation of the tracked lip gap with the gap that is typical of the recognized
            phonemes, -1 to 1.
        heard_lag_ms: delay of the picture against the sound, -400 to 400 ms; NaN where the mouth
            does not follow the sound at any delay.
        heard_r_best: correlation at that delay, -1 to 1.
    """

    heard_r: float
    heard_lag_ms: float
    heard_r_best: float


# The result where there is nothing to compare.
NO_PHONEME_SYNC = PhonemeSync(float("nan"), float("nan"), float("nan"))


def measure_phoneme_sync(
    video: Path | str,
    landmarks: NDArray[np.float32],  # [N, 478, 3]
    times: NDArray[np.float64],  # [N]
) -> PhonemeSync:
    """Compare a video's mouth with the phonemes that PocketSphinx recognizes in its sound.

    The lag is where the correlation is highest, or 0 if that is at the end of the range. The
    recognizer knows American English. Values are lower with other languages and with noise, so
    compare them with those of the original.

    Args:
        video: file with sound.
        landmarks: landmarks of its first N frames, px; rows of frames without a face are NaN.
            [N, 478, 3]
        times: times of these frames, s. [N]

    Returns:
        Correlation and lag.

    Raises:
        MissingDependencyError: PocketSphinx is not installed.
        MediaError: The sound cannot be read.
    """
    seen = has_face(landmarks)
    if seen.sum() < 2 or not probe(video).has_audio:
        return NO_PHONEME_SYNC
    # The lip gap as tracked, relative to the head, and the gap of the phonemes on an even grid.
    opening = motion_from_landmarks(landmarks[seen], times[seen]).aperture()
    grid = np.arange(0.0, times[-1] + CURVE_STEP_SECONDS, CURVE_STEP_SECONDS)
    expected = recognize_lip_gap(stream_audio(video, SPEECH_SAMPLE_RATE_HZ), grid)
    # A curve that does not vary has no correlation.
    if not (expected.std() > 0 and opening.std() > 0):
        return NO_PHONEME_SYNC
    sync = estimate_curve_lag(grid, expected, times[seen], opening)
    lag_ms = sync.lag_seconds * 1000 if sync.r_best >= MIN_CLEAR_R else float("nan")
    return PhonemeSync(sync.r_zero, lag_ms, sync.r_best)
