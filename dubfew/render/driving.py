"""What moves the mouth: new audio, another performance, or the scene itself."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dubfew.errors import DubfewError
from dubfew.media import read_audio, stream_audio
from dubfew.media.mel import SPEECH_SAMPLE_RATE_HZ
from dubfew.motion.extraction import motion_from_track
from dubfew.motion.mouth_motion import MouthMotion
from dubfew.progress import ProgressCallback
from dubfew.reconstruction.heads.head_model import HeadModel
from dubfew.reconstruction.tracking import track_video
from dubfew.render.options import DRIVE_NAMES
from dubfew.speech.model import SpeechModel
from dubfew.speech.style import SpeakingStyle
from dubfew.speech.transcript.align import align_transcript
from dubfew.speech.transcript.phoneme_fusion import fuse_phonemes
from dubfew.speech.transcript.recognize import recognize_phones
from dubfew.speech.transcript.transcript import TranscriptCue
from dubfew.speech.visemes import Phone
from dubfew.utils.import_utils import import_optional


def motion_from_audio(
    audio: Path,
    times: NDArray[np.float64],
    style: SpeakingStyle,
    model: SpeechModel,
    phones: Sequence[Phone] = (),
    mouth_gain: float = 1.0,
) -> MouthMotion:
    """What this actor's mouth does while the audio says something.

    Args:
        audio: the speech.
        times: moments on its clock, s. [N]
        style: the actor's.
        model: that their style belongs to.
        phones: its sounds, where they are known.
        mouth_gain: how far the mouth may open, as a multiple of what the actor's footage supports.
    """
    heard = model.predict(read_audio(audio), times)
    return style.apply(fuse_phonemes(heard, phones), reach=mouth_gain)


def motion_from_video(
    driver: Path,
    times: NDArray[np.float64],
    actor_motion: MouthMotion,
    head: HeadModel,
    progress: ProgressCallback,
) -> MouthMotion:
    """Another performance's mouth motion, with the spread of the actor's own.

    Raises:
        NoFaceError: the driving video shows no face.
    """
    played = motion_from_track(track_video(driver, head=head, progress=progress), head)
    ratio = _aperture_p95(actor_motion) / max(_aperture_p95(played), 1e-4)
    # A mumbled footage says little of how far the actor can open: stay near the performance.
    gain = float(np.clip(ratio, 0.7, 1.4))
    return MouthMotion(played.displacement * np.float32(gain), played.times).resample(times)


def _aperture_p95(motion: MouthMotion) -> float:
    """How far the mouth opens in a clip: the 95th percentile of the gap between the lips."""
    return float(np.percentile(motion.aperture(), 95))


def check_drive(
    drive: str,
    driver: Path | None,
    transcript: Path | None = None,
    language: str | None = None,
    use_recognizer: bool = False,
) -> None:
    """Raises DubfewError unless drive, driver, transcript, language and recognition fit.

    MissingDependencyError if PocketSphinx is wanted and not installed.
    """
    if drive not in DRIVE_NAMES:
        raise DubfewError(f"no drive {drive!r}: there are {', '.join(DRIVE_NAMES)}")
    if (drive == "video") != (driver is not None):
        raise DubfewError("drive 'video' and a driver video need each other")
    if transcript is not None and language is None:
        raise DubfewError("a transcript needs its language")
    if transcript is not None and drive != "audio":
        raise DubfewError(
            f"a transcript says what the audio says: drive {drive!r} has no use for it"
        )
    if use_recognizer:
        if drive != "audio" or transcript is not None:
            raise DubfewError(
                "recognition guesses what audio says: another drive, a transcript leave it nothing"
            )
        import_optional("pocketsphinx")


def phones_from_audio(
    audio: Path, cues: Sequence[TranscriptCue], language: str | None, use_recognizer: bool
) -> tuple[Phone, ...]:
    """Sounds of the audio with their times: of its transcript, or recognised; empty with neither.

    Raises:
        DubfewError: the transcript is not what is said.
        MissingDependencyError: what it needs is not installed.
    """
    if cues and language is not None:
        return align_transcript(read_audio(audio), cues, language).phones
    return recognize_phones(stream_audio(audio, SPEECH_SAMPLE_RATE_HZ)) if use_recognizer else ()
