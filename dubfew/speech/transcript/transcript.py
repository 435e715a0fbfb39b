"""Transcript: what is said in a recording, as a script or as subtitles with times."""

from __future__ import annotations

import codecs
import html
import re
from dataclasses import dataclass
from pathlib import Path

from dubfew.errors import DubfewError
from dubfew.utils.import_utils import import_optional

SUBTITLE_FORMATS = {".srt": "srt", ".vtt": "vtt"}
# An hour of speech is about 60 kB.
MAX_TRANSCRIPT_BYTES = 2_000_000
# A script's sentence that is longer is cut at a word: espeak says it in one breath otherwise.
_MAX_LINE_LENGTH = 400
_SENTENCE_END = re.compile(r"(?<=[.!?…])\s+|(?<=[。！？])\s*")  # noqa: RUF001 - full-width marks


@dataclass(frozen=True)
class TranscriptCue:
    """A line that is said.

    Attributes:
        text: one line, never empty.
        start: when its subtitle appears, s; None in a script without times.
        end: when its subtitle goes, s; None as well.
    """

    text: str
    start: float | None = None
    end: float | None = None


def read_transcript(path: Path | str) -> tuple[TranscriptCue, ...]:
    """Read a script (any text file, in sentences) or subtitles (``.srt``, ``.vtt``, with times).

    Text is UTF-8, or UTF-16 with its mark. What is sung or heard besides speech and stands in
    brackets or between notes is not spoken and is left out, in subtitles only.

    Raises:
        DubfewError: not there, not text, too large, or without a word.
        MissingDependencyError: subtitles without pysubs2.
    """
    path = Path(path)
    text = _decode_text(path)
    kind = SUBTITLE_FORMATS.get(path.suffix.lower())
    cues = _cues_from_script(text) if kind is None else _cues_from_subtitles(path, text, kind)
    if not cues:
        raise DubfewError(f"{path} holds no words: a transcript is the text that is spoken")
    return cues


def _decode_text(path: Path) -> str:
    try:
        size = path.stat().st_size
        if size > MAX_TRANSCRIPT_BYTES:
            raise DubfewError(
                f"{path} has {size} bytes, a transcript at most {MAX_TRANSCRIPT_BYTES}: "
                "give the text that is spoken"
            )
        data = path.read_bytes()
    except OSError as error:
        raise DubfewError(f"{path} cannot be read: {error.strerror}") from error
    wide = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    try:
        text = data.decode("utf-16" if wide else "utf-8-sig")
    except UnicodeDecodeError as error:
        raise DubfewError(f"{path} is not UTF-8 text: save the transcript as UTF-8") from error
    if "\0" in text:
        raise DubfewError(f"{path} is a binary file: a transcript is text")
    return text


def _cues_from_script(text: str) -> tuple[TranscriptCue, ...]:
    sentences = (s for line in text.splitlines() for s in _SENTENCE_END.split(line))
    return tuple(
        TranscriptCue(piece)
        for sentence in sentences
        for piece in _split_line(_clean_line(sentence))
    )


def _split_line(line: str) -> list[str]:
    """A line in pieces of bearable length that have a letter or digit."""
    pieces = []
    while len(line) > _MAX_LINE_LENGTH:
        cut = line.rfind(" ", 1, _MAX_LINE_LENGTH)
        cut = cut if cut > 0 else _MAX_LINE_LENGTH
        pieces.append(line[:cut])
        line = line[cut:].lstrip()
    return [piece for piece in (*pieces, line) if any(letter.isalnum() for letter in piece)]


def _cues_from_subtitles(path: Path, text: str, kind: str) -> tuple[TranscriptCue, ...]:
    pysubs2 = import_optional("pysubs2")
    lines = "\n".join(text.splitlines()) + "\n"
    if kind == "vtt":
        lines = _keep_timed_blocks(lines)
    try:
        events = pysubs2.SSAFile.from_string(lines, format_=kind)
    # It is written for well-formed files and says little of what it raises for others.
    except (pysubs2.Pysubs2Error, ValueError, IndexError, OverflowError) as error:
        raise DubfewError(f"{path} is not a subtitle file of kind {kind}: {error}") from error
    cues = []
    for event in sorted(events, key=lambda event: event.start):
        spoken = re.sub(r"\[[^\]]*\]|\([^)]*\)|♪[^♪]*♪?|^\s*-", " ", event.plaintext)
        line = _clean_line(html.unescape(spoken))
        if event.end > event.start >= 0 and any(letter.isalnum() for letter in line):
            cues.append(TranscriptCue(line, event.start / 1000, event.end / 1000))
    return tuple(cues)


def _keep_timed_blocks(text: str) -> str:
    """WebVTT without notes, styles and names of cues, which pysubs2 takes for spoken."""
    blocks = [block.splitlines() for block in re.split(r"\n\s*\n", text)]
    cues = []
    for lines in blocks:
        timed = [k for k, line in enumerate(lines) if "-->" in line]
        if timed and not lines[0].startswith("NOTE"):
            cues.append("\n".join(lines[timed[0] :]))
    return "WEBVTT\n\n" + "\n\n".join(cues) + "\n"


def _clean_line(text: str) -> str:
    """One line of printable characters with single spaces."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())
