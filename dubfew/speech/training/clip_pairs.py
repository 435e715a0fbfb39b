"""One video as sound and mouth motion, to measure a speech model on."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from dubfew.errors import MediaError, NoFaceError
from dubfew.media import read_audio, read_frames
from dubfew.media.mel import SPEECH_SAMPLE_RATE_HZ
from dubfew.motion.extraction import motion_from_landmarks
from dubfew.reconstruction.detection.landmarks import NUM_LANDMARKS, FaceLandmarker
from dubfew.speech.corpus import SpeechClip

# Quieter than this all through is a clip with an empty sound track (full scale 1).
_MIN_AUDIBLE_PEAK = 1e-3


def load_speech_clip(path: Path | str) -> SpeechClip:
    """Sound and mouth motion of one video.

    Raises:
        MediaError: it cannot be read, or holds no audible sound.
        NoFaceError: no frame has a face.
    """
    path = Path(path)
    samples = read_audio(path, rate=SPEECH_SAMPLE_RATE_HZ).samples
    if not len(samples) or float(np.abs(samples).max()) < _MIN_AUDIBLE_PEAK:
        raise MediaError(f"{path} holds no audible sound: nothing to learn speech from")
    rows, times = [], []
    with FaceLandmarker() as landmarker:
        for frame in read_frames(path):
            found = landmarker(frame.to_rgb())
            rows.append(np.full((NUM_LANDMARKS, 3), np.nan, np.float32) if found is None else found)
            times.append(frame.time)
    if not rows:
        raise NoFaceError(f"{path} holds no frame")
    return SpeechClip(path.stem, samples, motion_from_landmarks(np.stack(rows), np.array(times)))
