"""Driving signals: mouth motion from audio, from another performance, or from the scene itself."""

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

# Sound after the last frame that speech models hear, s: their networks look half a second ahead,
# and the level of a sentence is measured over the whole of it.
SOUND_AFTER_SECONDS = 30.0


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
    # Sound after the last frame is not read: a mix of three hours may lie on a scene of seconds.
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
    # 1e-4 inter-ocular distances: a mouth that stays closed must not divide by 0.
    ratio = _aperture_p95(actor_motion) / max(_aperture_p95(driver_motion), 1e-4)
    # Mumbled footage does not show how far the actor can open: stay near the performance.
    gain = float(np.clip(ratio, 0.7, 1.4))
    scaled = MouthMotion(driver_motion.displacement * np.float32(gain), driver_motion.times)
    return scaled.scale_opening(opening).resample(times)


def _aperture_p95(motion: MouthMotion) -> float:
    """Compute the 95th percentile of the lip gap, in inter-ocular distances."""
    return float(np.percentile(motion.aperture(), 95))


def check_drive(
    drive: str,
    driver: Path | None,
    transcript: Path | None = None,
    language: str | None = None,
    use_recognizer: bool = False,
) -> None:
    """Check that the options of the driving signal fit together.

    Args:
        drive: one of ``DRIVE_NAMES``.
        driver: video of the performance, for ``"video"`` alone.
        transcript: text of the audio, for ``"audio"`` alone.
        language: language of the transcript, which needs one.
        use_recognizer: recognize phonemes in the audio; not together with a transcript.

    Raises:
        DubfewError: The drive does not exist, or two options exclude or need each other.
        MissingDependencyError: ``use_recognizer`` is set and PocketSphinx is not installed.
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
    audio: Path,
    cues: Sequence[TranscriptCue],
    language: str | None,
    use_recognizer: bool,
    *,
    track: int | None = None,
) -> tuple[Phone, ...]:
    """Find the phones of the audio and their times.

    Args:
        audio: file with the speech.
        cues: transcript of the audio; empty without one.
        language: language of the transcript.
        use_recognizer: recognize phones if there is no transcript.
        track: number of the sound track, from 1; None is the main one.

    Returns:
        Phones of the transcript or recognized phones; empty with neither.

    Raises:
        DubfewError: The transcript does not match the audio.
        MissingDependencyError: espeak-ng or PocketSphinx is needed and not installed.
    """
    if cues and language is not None:
        return align_transcript(read_audio(audio, track=track), cues, language).phones
    if not use_recognizer:
        return ()
    return recognize_phones(stream_audio(audio, SPEECH_SAMPLE_RATE_HZ, track=track))
