"""One filmed speaker as sound and mouth motion, the unit of training and measuring."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dubfew.errors import MediaError, NoFaceError
from dubfew.media import read_audio, read_frames
from dubfew.media.audio import MIN_AUDIBLE_PEAK
from dubfew.media.mel import SPEECH_SAMPLE_RATE_HZ
from dubfew.motion.extraction import motion_from_landmarks
from dubfew.motion.mouth_motion import MouthMotion
from dubfew.reconstruction.detection.landmarks import NUM_LANDMARKS, FaceLandmarker


@dataclass(frozen=True)
class SpeechClip:
    """Sound of a filmed speaker and the motion of the mouth.

    Attributes:
        name: file name of the clip; parts of one file are numbered.
        samples: mono at 16 kHz, full scale 1. [n]
        motion: tracked mouth motion; its times count from the first sample.
        identity: identity of the speaker, empty if unknown.
    """

    name: str
    samples: NDArray[np.float32]
    motion: MouthMotion
    identity: str = ""


def load_speech_clip(path: Path | str) -> SpeechClip:
    """Read sound and mouth motion of one video.

    Args:
        path: a video with sound.

    Raises:
        MediaError: the file cannot be read, or its sound is silent throughout.
        NoFaceError: no frame shows a face.
    """
    path = Path(path)
    samples = read_audio(path, rate=SPEECH_SAMPLE_RATE_HZ).samples
    if not len(samples) or float(np.abs(samples).max()) < MIN_AUDIBLE_PEAK:
        raise MediaError(f"{path} has no audible sound: give a clip of a person who speaks")
    # Frames without a face stay in place as NaN, so that rows keep their times.
    landmarks, times = [], []
    no_face = np.full((NUM_LANDMARKS, 3), np.nan, np.float32)
    with FaceLandmarker() as landmarker:
        for frame in read_frames(path):
            found = landmarker(frame.to_rgb())
            landmarks.append(no_face if found is None else found)
            times.append(frame.time)
    if not landmarks:
        raise NoFaceError(f"{path} has no frame: give a video")
    motion = motion_from_landmarks(np.stack(landmarks), np.array(times))
    return SpeechClip(path.stem, samples, motion)
