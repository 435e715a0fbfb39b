"""One filmed speaker as sound and mouth motion, the unit of training and measuring."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from dubfew.data.array_cache import ArrayCache, StoredArrays, hash_arrays
from dubfew.errors import MediaError, NoFaceError
from dubfew.media import read_audio, read_frames
from dubfew.media.audio import MIN_AUDIBLE_PEAK
from dubfew.media.mel import SPEECH_SAMPLE_RATE_HZ
from dubfew.motion.extraction import motion_from_landmarks
from dubfew.motion.mouth_motion import MouthMotion
from dubfew.reconstruction.detection.landmarks import NUM_LANDMARKS, FaceLandmarker


class FilmedSpeech(Protocol):
    """A filmed speaker, in memory (`SpeechClip`) or on disk (`StoredClip`)."""

    @property
    def name(self) -> str:
        """Return the file name of the clip; parts of one file are numbered."""
        ...

    @property
    def identity(self) -> str:
        """Return the identity of the speaker, empty if unknown."""
        ...

    @property
    def samples(self) -> NDArray[np.float32]:
        """Return the sound, mono at 16 kHz, full scale 1. [n]"""
        ...

    @property
    def motion(self) -> MouthMotion:
        """Return the tracked mouth motion; its times count from the first sample."""
        ...

    @property
    def sound_hash(self) -> str:
        """Return a hash of the samples."""
        ...

    @property
    def motion_hash(self) -> str:
        """Return a hash of the motion."""
        ...


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

    @cached_property
    def sound_hash(self) -> str:
        """Return a hash of the samples."""
        return hash_arrays(self.samples)

    @cached_property
    def motion_hash(self) -> str:
        """Return a hash of the motion."""
        return hash_arrays(self.motion.displacement, self.motion.times)


@dataclass(frozen=True)
class StoredClip:
    """A filmed speaker in a cache on disk, with the members of `FilmedSpeech`.

    Sound and motion are read anew each time, so that only clips in use are in memory.

    Attributes:
        name: file name of the clip; parts of one file are numbered.
        identity: identity of the speaker, empty if unknown.
        arrays: its ``samples``, ``displacement`` and ``times``.
        sound_hash: hash of the samples.
        motion_hash: hash of the motion.
    """

    name: str
    identity: str
    arrays: StoredArrays
    sound_hash: str
    motion_hash: str

    @property
    def samples(self) -> NDArray[np.float32]:
        """Read the sound, mono at 16 kHz, full scale 1. [n]"""
        return self.arrays.read("samples")

    @property
    def motion(self) -> MouthMotion:
        """Read the tracked mouth motion; its times count from the first sample."""
        return MouthMotion(self.arrays.read("displacement"), self.arrays.read("times"))


def store_clip(clip: SpeechClip, cache: ArrayCache) -> StoredClip:
    """Move a clip to the disk.

    Args:
        clip: clip in memory.
        cache: cache to store it in.
    """
    hashes = clip.sound_hash, clip.motion_hash
    arrays = cache.fetch(
        {"clip": hashes},
        lambda: {
            "samples": clip.samples,
            "displacement": clip.motion.displacement,
            "times": clip.motion.times,
        },
    )
    return StoredClip(clip.name, clip.identity, arrays, *hashes)


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
