"""What moves the mouth: new audio, another performance, or the scene itself."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dubfew.errors import DubfewError
from dubfew.media import read_audio, stream_audio
from dubfew.media.mel import RATE
from dubfew.motion.extraction import motion_of_track
from dubfew.motion.mouth_motion import MouthMotion
from dubfew.progress import ProgressCallback
from dubfew.reconstruction.heads.head_model import HeadModel
from dubfew.reconstruction.tracking import track_video
from dubfew.speech.model import SpeechModel
from dubfew.speech.style import Style
from dubfew.speech.transcript.align import align
from dubfew.speech.transcript.phoneme_fusion import sharpen
from dubfew.speech.transcript.recognize import recognised
from dubfew.speech.transcript.transcript import Cue
from dubfew.speech.visemes import Phone
from dubfew.utils.import_utils import require

DRIVES = ("audio", "video", "self")


def audio_motion(
    audio: Path,
    times: NDArray[np.float64],
    style: Style,
    model: SpeechModel,
    phones: Sequence[Phone] = (),
    reach: float = 1.0,
) -> MouthMotion:
    """What this actor's mouth does while the audio says something.

    Args:
        audio: the speech.
        times: moments on its clock, s. [N]
        style: the actor's.
        model: that their style belongs to.
        phones: its sounds, where they are known.
        reach: how far the mouth may open, as a multiple of what the actor's footage supports.
    """
    heard = model.predict(read_audio(audio), times)
    return style.apply(sharpen(heard, phones), reach=reach)


def video_motion(
    driver: Path,
    times: NDArray[np.float64],
    actor: MouthMotion,
    head: HeadModel,
    progress: ProgressCallback,
) -> MouthMotion:
    """Another performance's mouth motion, with the spread of the actor's own.

    Raises:
        NoFaceError: the driving video shows no face.
    """
    played = motion_of_track(track_video(driver, head=head, progress=progress), head)
    ratio = _spread(actor) / max(_spread(played), 1e-4)
    # A mumbled footage says little of how far the actor can open: stay near the performance.
    gain = float(np.clip(ratio, 0.7, 1.4))
    return MouthMotion(played.displacement * np.float32(gain), played.times).at(times)


def _spread(motion: MouthMotion) -> float:
    """How far the mouth opens in a clip: the 95th percentile of the gap between the lips."""
    return float(np.percentile(motion.aperture(), 95))


def check_drive(
    drive: str,
    driver: Path | None,
    transcript: Path | None = None,
    language: str | None = None,
    recognise: bool = False,
) -> None:
    """Raises DubfewError unless drive, driver, transcript, language and recognition fit.

    MissingDependencyError if PocketSphinx is wanted and not installed.
    """
    if drive not in DRIVES:
        raise DubfewError(f"no drive {drive!r}: there are {', '.join(DRIVES)}")
    if (drive == "video") != (driver is not None):
        raise DubfewError("drive 'video' and a driver video need each other")
    if transcript is not None and language is None:
        raise DubfewError("a transcript needs its language")
    if transcript is not None and drive != "audio":
        raise DubfewError(
            f"a transcript says what the audio says: drive {drive!r} has no use for it"
        )
    if recognise:
        if drive != "audio" or transcript is not None:
            raise DubfewError(
                "recognition guesses what audio says: another drive, a transcript leave it nothing"
            )
        require("pocketsphinx")


def known_sounds(
    audio: Path, cues: Sequence[Cue], language: str | None, recognise: bool
) -> tuple[Phone, ...]:
    """Sounds of the audio with their times: of its transcript, or recognised; empty with neither.

    Raises:
        DubfewError: the transcript is not what is said.
        MissingDependencyError: what it needs is not installed.
    """
    if cues and language is not None:
        return align(read_audio(audio), cues, language).phones
    return recognised(stream_audio(audio, RATE)) if recognise else ()


def check_reach(reach: float) -> None:
    """Raises DubfewError for a reach that is none."""
    if not 0 < reach < math.inf:
        raise DubfewError(f"a mouth cannot reach {reach} times as far: give a number above 0")
