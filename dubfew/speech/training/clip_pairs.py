"""One video as sound and mouth motion, to measure a speech model on."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from dubfew.errors import MediaError, NoFaceError
from dubfew.media import read_audio, read_frames
from dubfew.media.mel import RATE
from dubfew.motion.extraction import motion_of_landmarks
from dubfew.reconstruction.detection.landmarks import LANDMARKS, FaceLandmarker
from dubfew.speech.corpus import Clip

# Quieter than this all through is a clip with an empty sound track (full scale 1).
_AUDIBLE = 1e-3


def prepare_clip(path: Path | str) -> Clip:
    """Sound and mouth motion of one video.

    Raises:
        MediaError: it cannot be read, or holds no audible sound.
        NoFaceError: no frame has a face.
    """
    path = Path(path)
    samples = read_audio(path, rate=RATE).samples
    if not len(samples) or float(np.abs(samples).max()) < _AUDIBLE:
        raise MediaError(f"{path} holds no audible sound: nothing to learn speech from")
    rows, times = [], []
    with FaceLandmarker() as landmarker:
        for frame in read_frames(path):
            found = landmarker(frame.to_rgb())
            rows.append(np.full((LANDMARKS, 3), np.nan, np.float32) if found is None else found)
            times.append(frame.time)
    if not rows:
        raise NoFaceError(f"{path} holds no frame")
    return Clip(path.stem, samples, motion_of_landmarks(np.stack(rows), np.array(times)))
