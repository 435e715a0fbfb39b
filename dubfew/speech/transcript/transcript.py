"""Reading of transcripts: scripts, or subtitles with times."""

from __future__ import annotations

import codecs
import html
import re
from dataclasses import dataclass
from pathlib import Path

from dubfew.errors import DubfewError
from dubfew.speech.transcript.ttml import TTML_SUFFIXES, read_ttml
from dubfew.utils.import_utils import import_optional

# Formats of subtitles by suffix, as pysubs2 names them, and TTML; all other files are scripts.
SUBTITLE_FORMATS = {".srt": "srt", ".vtt": "vtt", **dict.fromkeys(TTML_SUFFIXES, "ttml")}
# Largest file that is read; an hour of speech is about 60 kB.
MAX_TRANSCRIPT_BYTES = 2_000_000
# Longest line of a script, characters; longer sentences are cut at a space, because espeak-ng would
# speak them without a pause.
_MAX_LINE_LENGTH = 400
# Ends of sentences, also in Chinese and Japanese, which have no spaces after them.
_SENTENCE_END = re.compile(r"(?<=[.!?…])\s+|(?<=[。！？])\s*")  # noqa: RUF001 - full-width marks


@dataclass(frozen=True)
class TranscriptCue:
    """A spoken line.

    Attributes:
        text: one line, never empty.
        start: time at which its subtitle appears, s; None in a script without times.
        end: time at which its subtitle vanishes, s; None in a script without times.
        speaker: who says it, where a TTML file names an agent; else "".
        language: code of its language, where a TTML file says it; else "".
    """

    text: str
    start: float | None = None
    end: float | None = None
    speaker: str = ""
    language: str = ""


def read_transcript(path: Path | str) -> tuple[TranscriptCue, ...]:
    """Read a script (any text file, in sentences) or subtitles with times.

    Subtitles are ``.srt``, ``.vtt``, and TTML or IMSC (``.ttml``, ``.dfxp``, ``.itt``).

    Text is UTF-8, or UTF-16 with a byte order mark. In subtitles, everything in brackets or between
    musical notes is left out: it is heard but not spoken.

    Args:
        path: a text file.

    Raises:
        DubfewError: The file cannot be read, is not text, is too large or has no words.
        MissingDependencyError: The file is .srt or .vtt, and pysubs2 is not installed.
    """
    path = Path(path)
    text = _decode_text(path)
    kind = SUBTITLE_FORMATS.get(path.suffix.lower())
    if kind is None:
        cues = _cues_from_script(text)
    elif kind == "ttml":
        cues = _cues_from_ttml(path, text)
    else:
        cues = _cues_from_subtitles(path, text, kind)
    if not cues:
        raise DubfewError(f"{path} has no words: a transcript is the text that is spoken")
    return cues


def _decode_text(path: Path) -> str:
    """Read a file as text."""
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
    # Without a byte order mark, text is taken for UTF-8.
    wide = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    try:
        text = data.decode("utf-16" if wide else "utf-8-sig")
    except UnicodeDecodeError as error:
        raise DubfewError(f"{path} is not UTF-8 text: save the transcript as UTF-8") from error
    if "\0" in text:
        raise DubfewError(f"{path} is a binary file: a transcript is text")
    return text


def _cues_from_script(text: str) -> tuple[TranscriptCue, ...]:
    """Split a script into sentences."""
    sentences = (s for line in text.splitlines() for s in _SENTENCE_END.split(line))
    return tuple(
        TranscriptCue(piece)
        for sentence in sentences
        for piece in _split_line(_clean_line(sentence))
    )


def _split_line(line: str) -> list[str]:
    """Split a line into pieces of bounded length that have a letter or digit."""
    pieces = []
    while len(line) > _MAX_LINE_LENGTH:
        cut = line.rfind(" ", 1, _MAX_LINE_LENGTH)
        cut = cut if cut > 0 else _MAX_LINE_LENGTH
        pieces.append(line[:cut])
        line = line[cut:].lstrip()
    return [piece for piece in (*pieces, line) if any(letter.isalnum() for letter in piece)]


def _cues_from_subtitles(path: Path, text: str, kind: str) -> tuple[TranscriptCue, ...]:
    """Parse subtitles and keep what is spoken."""
    pysubs2 = import_optional("pysubs2")
    # pysubs2 knows one kind of line end only.
    lines = "\n".join(text.splitlines()) + "\n"
    if kind == "vtt":
        lines = _keep_timed_blocks(lines)
    try:
        events = pysubs2.SSAFile.from_string(lines, format_=kind)
    # pysubs2 is written for well-formed files and raises many kinds of errors for others.
    except (pysubs2.Pysubs2Error, ValueError, IndexError, OverflowError) as error:
        raise DubfewError(f"{path} is not a subtitle file of kind {kind}: {error}") from error
    cues = []
    # Order by time, whatever the file's order is.
    for event in sorted(events, key=lambda event: event.start):
        line = _keep_spoken(html.unescape(event.plaintext))
        if event.end > event.start >= 0 and any(letter.isalnum() for letter in line):
            cues.append(TranscriptCue(line, event.start / 1000, event.end / 1000))
    return tuple(cues)


def _cues_from_ttml(path: Path, text: str) -> tuple[TranscriptCue, ...]:
    """Read TTML and keep what is spoken; a text without an end cannot be placed."""
    cues = []
    for each in read_ttml(text, str(path)):
        line = _keep_spoken(each.text)
        if each.end is not None and each.end > each.start and any(c.isalnum() for c in line):
            times = (float(each.start), float(each.end))
            cues.append(TranscriptCue(line, *times, each.speaker, each.language))
    return tuple(cues)


def _keep_spoken(text: str) -> str:
    """Remove sounds in brackets, songs between notes, and dashes before speakers."""
    return _clean_line(re.sub(r"\[[^\]]*\]|\([^)]*\)|♪[^♪]*♪?|^\s*-", " ", text))


def _keep_timed_blocks(text: str) -> str:
    """Remove notes, styles and cue names from WebVTT; pysubs2 takes them for spoken text."""
    blocks = [block.splitlines() for block in re.split(r"\n\s*\n", text)]
    cues = []
    for lines in blocks:
        timed = [k for k, line in enumerate(lines) if "-->" in line]
        if timed and not lines[0].startswith("NOTE"):
            cues.append("\n".join(lines[timed[0] :]))
    return "WEBVTT\n\n" + "\n\n".join(cues) + "\n"


def _clean_line(text: str) -> str:
    """Make one line of printable characters with single spaces."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())
