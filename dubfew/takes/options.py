"""Options of ``record_motion``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from dubfew.reconstruction.options import face_option
from dubfew.utils.options import document_fields, option, validate_options

MOTION_DRIVES = ("audio", "video")


@document_fields
@dataclass(frozen=True, kw_only=True)
class MotionOptions:
    """Options of ``dubfew.record_motion`` and ``dubfew motion``."""

    drive: str | None = option(
        None,
        help="What the motion is made from: the sound (audio) or the filmed mouth (video); "
        "default: the mouth where the file has a picture.",
        choices=MOTION_DRIVES,
    )
    audio_track: int | None = option(
        None,
        help="Number of the sound track that is spoken, from 1; default: the main one, or where it "
        "has tone, silence or music the one that speaks.",
        metavar="N",
        minimum=1,
    )
    transcript: Path | str | None = option(
        None,
        help="Text of the sound (a script, .srt, .vtt or .ttml). It sharpens the timing and needs "
        "the language.",
        metavar="FILE",
    )
    language: str | None = option(
        None,
        help="Language of the transcript: en, de-AT, pt-BR.",
        metavar="CODE",
        flags=("--language", "--lang"),
    )
    recognise: bool = option(
        False,
        help="Recognize phonemes with PocketSphinx, for English speech, and close the lips in "
        "/p b m/ where they are near each other.",
    )
    speech: Path | str | None = option(
        None,
        help="Speech model that predicts, which must be the one of the actors who will speak; "
        "default: the one that ships.",
        metavar="FILE",
    )
    face: str | None = face_option(default="the one that is seen most")

    def __post_init__(self) -> None:
        validate_options(self)
