"""Driving signals: mouth motion from audio, another performance, a take, or the scene itself."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dubfew.errors import DubfewError
from dubfew.media import read_audio
from dubfew.motion.extraction import motion_from_track
from dubfew.motion.mouth_motion import MouthMotion
from dubfew.progress import ProgressCallback
from dubfew.reconstruction.heads.head_model import HeadModel
from dubfew.reconstruction.tracking import track_video
from dubfew.render.options import DRIVE_NAMES
from dubfew.render.sources import SOUND_AFTER_SECONDS
from dubfew.speech.model import SpeechModel
from dubfew.speech.style import SpeakingStyle
from dubfew.speech.transcript.phoneme_fusion import fuse_phonemes
from dubfew.speech.visemes import Phone
from dubfew.takes.take import Take
from dubfew.utils.import_utils import import_optional


def motion_from_audio(
    audio: Path,
    times: NDArray[np.float64],
    style: SpeakingStyle,
    model: SpeechModel,
    phones: Sequence[Phone] = (),
    *,
    track: int | None = None,
    reach: float = 1.0,
    opening: float = 1.0,
) -> MouthMotion:
    """Predict an actor's mouth motion from speech.

    Args:
        audio: file with the speech.
        times: times of the frames on the clock of the audio, s. [N]
        style: speaking style of the actor.
        model: speech model that the style was fitted to.
        phones: phones of the audio with their times, if known; they sharpen the prediction.
        track: number of the sound track, from 1; None is the main one.
        reach: largest opening, as a multiple of the largest one in the actor's footage.
        opening: factor of the opening, applied before that limit.

    Returns:
        Motion in inter-ocular distances. [N, P, 3]

    Raises:
        MediaError: The audio cannot be read.
    """
    # Sound long after the last frame is not read.
    end = float(times[-1]) + SOUND_AFTER_SECONDS
    predicted = model.predict(read_audio(audio, track=track, seconds=end), times)
    return style.apply(fuse_phonemes(predicted, phones), reach=reach, opening=opening)


def motion_from_video(
    driver: Path,
    times: NDArray[np.float64],
    actor_motion: MouthMotion,
    head: HeadModel,
    progress: ProgressCallback,
    *,
    opening: float = 1.0,
) -> MouthMotion:
    """Transfer the mouth motion of another performance to an actor.

    The motion is scaled so that the mouth opens as far as the actor's does.

    Args:
        driver: video of the performance.
        times: times of the frames to render, s. [N]
        actor_motion: motion of the actor in their own footage.
        head: head model to track the performance with.
        progress: called with the state of the tracking.
        opening: factor of the opening.

    Returns:
        Motion in inter-ocular distances. [N, P, 3]

    Raises:
        MediaError: The video cannot be read.
        NoFaceError: The video shows no face.
    """
    driver_motion = motion_from_track(track_video(driver, head=head, progress=progress), head)
    return match_openings(driver_motion, actor_motion).scale_opening(opening).resample(times)


def match_openings(performed: MouthMotion, actor_motion: MouthMotion) -> MouthMotion:
    """Scale the motion of another performance so that the mouth opens as far as the actor's does.

    Args:
        performed: motion of the performance.
        actor_motion: motion of the actor in their own footage.
    """
    # 1e-4 inter-ocular distances: a mouth that stays closed must not divide by 0.
    ratio = _aperture_p95(actor_motion) / max(_aperture_p95(performed), 1e-4)
    # Mumbled footage does not show how far the actor can open: stay near the performance.
    gain = float(np.clip(ratio, 0.7, 1.4))
    return MouthMotion(performed.displacement * np.float32(gain), performed.times)


def motion_from_take(
    take: Take,
    times: NDArray[np.float64],
    style: SpeakingStyle,
    actor_motion: MouthMotion,
    *,
    reach: float = 1.0,
    opening: float = 1.0,
) -> MouthMotion:
    """Make a take an actor's own, and apply its edits.

    Predicted motion gets the actor's style, filmed motion is scaled to the actor's openings. Edits
    come last, so that they mean the same for every actor.

    Args:
        take: the take.
        times: times of the frames to render, s. [N]
        style: speaking style of the actor.
        actor_motion: motion of the actor in their own footage.
        reach: largest opening of predicted motion, as a multiple of the largest one in the actor's
            footage.
        opening: factor of the opening, applied before that limit.

    Returns:
        Motion in inter-ocular distances. [N, P, 3]
    """

    def personalize(motion: MouthMotion, kind: str) -> MouthMotion:
        if kind == "audio":
            return style.apply(motion, reach=reach, opening=opening)
        return match_openings(motion, actor_motion).scale_opening(opening)

    return take.perform(personalize).resample(times)


def _aperture_p95(motion: MouthMotion) -> float:
    """Compute the 95th percentile of the lip gap, in inter-ocular distances."""
    return float(np.percentile(motion.aperture(), 95))


def check_drive(
    drive: str,
    driver: Path | None,
    transcript: Path | None = None,
    language: str | None = None,
    use_recognizer: bool = False,
    motion: Path | None = None,
) -> None:
    """Check that the options of the driving signal fit together.

    Args:
        drive: one of ``DRIVE_NAMES``.
        driver: video of the performance, for ``"video"`` alone.
        transcript: text of the audio, for ``"audio"`` alone.
        language: language of the transcript, which needs one.
        use_recognizer: recognize phonemes in the audio; not together with a transcript.
        motion: file of a take, which is a drive of its own.

    Raises:
        DubfewError: The drive does not exist, or two options exclude or need each other.
        MissingDependencyError: ``use_recognizer`` is set and PocketSphinx is not installed.
    """
    if drive not in DRIVE_NAMES:
        raise DubfewError(f"no drive {drive!r}: there are {', '.join(DRIVE_NAMES)}")
    if (drive == "video") != (driver is not None):
        raise DubfewError("drive 'video' and a driver video need each other")
    if motion is not None and (drive != "audio" or transcript is not None or use_recognizer):
        raise DubfewError(
            "--motion has the mouth's motion already: leave out --drive, --transcript and "
            "--recognise, which 'dubfew motion' takes"
        )
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
