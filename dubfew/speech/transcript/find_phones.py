"""Phones of a sound file, from its transcript or by recognition."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from math import ceil
from pathlib import Path

from dubfew.media import read_audio, stream_audio
from dubfew.media.mel import SPEECH_SAMPLE_RATE_HZ
from dubfew.speech.transcript.align import align_transcript
from dubfew.speech.transcript.recognize import recognize_phones
from dubfew.speech.transcript.transcript import TranscriptCue
from dubfew.speech.visemes import Phone


def phones_from_audio(
    audio: Path,
    cues: Sequence[TranscriptCue],
    language: str | None,
    use_recognizer: bool,
    *,
    track: int | None = None,
    seconds: float | None = None,
) -> tuple[Phone, ...]:
    """Find the phones of the audio and their times.

    Args:
        audio: file with the speech.
        cues: transcript of the audio; empty without one.
        language: language of the transcript.
        use_recognizer: recognize phones if there is no transcript.
        track: number of the sound track, from 1; None is the main one.
        seconds: time after which nothing has to be recognized, s; None recognizes all. A transcript
            says everything that is spoken, so it is always aligned with all of the sound.

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
    # Blocks of a second.
    blocks = stream_audio(audio, SPEECH_SAMPLE_RATE_HZ, SPEECH_SAMPLE_RATE_HZ, track=track)
    return recognize_phones(blocks if seconds is None else islice(blocks, ceil(seconds)))
