"""Does the mouth do what the sound asks for, by a listener that has nothing of dubfew's models."""

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

CURVE_STEP_SECONDS = 0.01  # of the grid that the sound is looked at on, s


@dataclass(frozen=True)
class PhonemeSync:
    """How a mouth follows its own sound; NaN where nothing moves or nothing is heard.

    Attributes:
        heard_r: correlation of the tracked gap between the lips with that of the sounds that a
            phoneme recogniser hears.
        heard_lag_ms: by how much the picture is late against the sound, of ±400.
        heard_r_best: correlation at that lag.
    """

    heard_r: float
    heard_lag_ms: float
    heard_r_best: float


NO_PHONEME_SYNC = PhonemeSync(float("nan"), float("nan"), float("nan"))


def measure_phoneme_sync(
    video: Path | str,
    landmarks: NDArray[np.float32],  # [N, 478, 3]
    times: NDArray[np.float64],  # [N]
) -> PhonemeSync:
    """Compare a video's mouth with its own sound.

    The lag is where the correlation is highest, 0 where that is no peak. The recogniser knows
    American English; with other languages and noisy sound the figures are lower, so compare them
    with the original's.

    Args:
        video: with sound.
        landmarks: of its frames, px; rows of frames without a face are NaN. [N, 478, 3]
        times: of these frames, s. [N]

    Raises:
        MissingDependencyError: PocketSphinx is not installed.
        MediaError: the sound cannot be read.
    """
    seen = has_face(landmarks)
    if seen.sum() < 2 or not probe(video).has_audio:
        return NO_PHONEME_SYNC
    opening = motion_from_landmarks(landmarks[seen], times[seen]).aperture()
    grid = np.arange(0.0, times[-1] + CURVE_STEP_SECONDS, CURVE_STEP_SECONDS)
    asked = recognize_lip_gap(stream_audio(video, SPEECH_SAMPLE_RATE_HZ), grid)
    if not (asked.std() > 0 and opening.std() > 0):
        return NO_PHONEME_SYNC
    sync = estimate_curve_lag(grid, asked, times[seen], opening)
    return PhonemeSync(sync.r_zero, sync.lag_seconds * 1000, sync.r_best)
