"""Record a take: predict mouth motion from sound, or read it off a filmed mouth."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from dubfew.errors import DubfewError, MediaError
from dubfew.media import probe, read_audio
from dubfew.media.speech_track import find_speech_track
from dubfew.motion.extraction import motion_from_track
from dubfew.progress import Progress, ProgressCallback, no_progress
from dubfew.reconstruction.heads.head_model import load_head_model
from dubfew.reconstruction.tracking import track_video
from dubfew.speech.model import SpeechModel
from dubfew.speech.model_info import shipped_speech_model_path
from dubfew.speech.transcript.align import resolve_language
from dubfew.speech.transcript.find_phones import phones_from_audio
from dubfew.speech.transcript.phoneme_fusion import fuse_phonemes
from dubfew.speech.transcript.transcript import read_transcript
from dubfew.takes.blendshapes import BLENDSHAPE_SUFFIXES, import_take
from dubfew.takes.options import MotionOptions
from dubfew.takes.take import MAX_TAKE_SECONDS, TAKE_RATE_HZ, Take, TakeSource
from dubfew.utils.files import check_input_file, sha256_file
from dubfew.utils.options import document_options, merge_options

# Rows after the end of the sound, s, in which the mouth comes to rest.
REST_SECONDS = 0.5


@document_options(MotionOptions)
def record_motion(
    source: Path | str,
    options: MotionOptions | None = None,
    *,
    progress: ProgressCallback = no_progress,
    **overrides: Any,
) -> Take:
    """Predict the mouth motion of a sound, or read it off a filmed mouth, without any actor.

    ``dubfew.record_motion`` is this function; its documentation lists the errors.

    Args:
        source: a sound file, a video, or a file of blendshapes (.csv of Live Link Face, .json of
            Audio2Face).
        options: the options below as one object; those given as keywords override it.
        progress: function that is called with the state of the tracking.
    """
    options = merge_options(MotionOptions, options, overrides)
    source = Path(source)
    check_input_file(source)
    check_motion_options(options)
    if source.suffix.lower() in BLENDSHAPE_SUFFIXES:
        if options != MotionOptions():
            raise DubfewError(f"{source} holds the motion itself: leave out the options")
        return import_take(source)
    drive = options.drive or ("video" if _has_picture(source) else "audio")
    if drive == "audio":
        return _predict(source, options, progress)
    if options.transcript is not None or options.recognise or options.audio_track is not None:
        raise DubfewError(
            f"{source} gives its filmed mouth: --transcript, --recognise and --audio-track need "
            "--drive audio"
        )
    head = load_head_model()
    track = track_video(source, head=head, face=options.face, progress=progress)
    confidence = np.where(track.usable, track.confidence, 0).astype(np.float32)
    # The clock of a take begins at 0, as that of a sound does.
    return Take(
        motion_from_track(track, head),
        confidence,
        TakeSource("video", source.name, sha256_file(source)),
    )


def check_motion_options(options: MotionOptions) -> None:
    """Check that the options fit together.

    Args:
        options: options of `record_motion`.

    Raises:
        DubfewError: A transcript lacks its language, or is given beside recognition.
    """
    if options.transcript is not None and options.language is None:
        raise DubfewError("a transcript needs its language")
    if options.transcript is not None and options.recognise:
        raise DubfewError("recognition guesses what a transcript says: leave out one")


def _predict(source: Path, options: MotionOptions, progress: ProgressCallback) -> Take:
    """Predict the motion of an average speaker."""
    model_path = shipped_speech_model_path() if options.speech is None else Path(options.speech)
    cues = () if options.transcript is None else read_transcript(Path(options.transcript))
    # A language that cannot be spelled out is refused before the sound is decoded.
    if cues and options.language is not None:
        resolve_language(options.language)
    track = find_speech_track(source, options.audio_track).number
    audio = read_audio(source, track=track)
    if audio.duration > MAX_TAKE_SECONDS:
        raise MediaError(
            f"{source} is {audio.duration:.0f} s long: a take has {MAX_TAKE_SECONDS:.0f} s at most"
        )
    # The mouth needs time to come to rest after the last sound.
    times = np.arange(round((audio.duration + REST_SECONDS) * TAKE_RATE_HZ)) / TAKE_RATE_HZ
    model = SpeechModel.load_default() if options.speech is None else SpeechModel.load(model_path)
    phones = phones_from_audio(source, cues, options.language, options.recognise, track=track)
    motion = fuse_phonemes(model.predict(audio, times), phones)
    progress(Progress("predict", len(times), len(times)))
    return Take(
        motion,
        # Predicted motion has no frames that could have been measured badly.
        np.ones(len(times), np.float32),
        TakeSource(
            "audio",
            source.name,
            sha256_file(source),
            sha256_file(model_path),
            options.language or "",
        ),
        phones,
    )


def _has_picture(source: Path) -> bool:
    """Return whether a file has a moving picture."""
    try:
        probe(source)
    except MediaError:
        return False
    return True
