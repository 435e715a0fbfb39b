"""Lines of a program: cue sheets in CSV, and subtitles."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

from dubfew.conform.timecode import parse_timecode
from dubfew.conform.timeline import Program
from dubfew.errors import DubfewError
from dubfew.speech.transcript.transcript import SUBTITLE_FORMATS, read_transcript
from dubfew.utils.files import check_input_file
from dubfew.utils.spreadsheets import open_csv_table

# Columns of a cue sheet. Others are left out, and named in the plan.
COLUMNS = (
    *("id", "shot", "character", "language", "start", "end", "audio", "text"),
    *("actor", "face", "motion"),
)
_CLOCK = re.compile(r"(\d+):(\d\d):(\d\d(?:\.\d+)?)")


@dataclass(frozen=True)
class Line:
    """One line of the program.

    Attributes:
        id: name of the line.
        place: where it stands, for messages, such as "line 3".
        shots: names of the shots that show it; without any it is the one in which it begins.
        character: who says it, or "".
        language: code of its language, or None.
        start: begin in the program, s; None for the begin of its shot.
        delay: time after the begin of the shot at which it begins where it has no ``start``, s.
        end: end of its place in the program, s, where it is known.
        audio: the speech, or None for that of the whole program.
        text: its words, or "".
        actor: id of the actor, or "".
        face: face in the shot, as the option ``face`` names it, or None.
        motion: file of ``dubfew motion``, or None.
    """

    id: str
    place: str
    shots: tuple[str, ...] = ()
    character: str = ""
    language: str | None = None
    start: Fraction | None = None
    delay: Fraction = Fraction(0)
    end: Fraction | None = None
    audio: Path | None = None
    text: str = ""
    actor: str = ""
    face: str | None = None
    motion: Path | None = None


def read_lines(path: Path | str, program: Program) -> tuple[list[Line], list[str], list[str]]:
    """Read the lines of a program.

    Args:
        path: cue sheet (.csv, .tsv or .txt with a head line) or subtitles (.srt, .vtt, .ttml).
            Files in a sheet are relative to it.
        program: the timeline, whose rate and first timecode times are read by.

    Returns:
        The lines, a text for each that cannot be read, and names of columns that are not used.

    Raises:
        MediaError: The file does not exist.
        DubfewError: The file is no cue sheet.
        MissingDependencyError: The file has subtitles, and pysubs2 is not installed.
    """
    path = Path(path)
    check_input_file(path)
    if path.suffix.lower() in SUBTITLE_FORMATS:
        return _read_subtitles(path, program), [], []
    try:
        text = path.read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise DubfewError(f"{path} cannot be read as a cue sheet: {error}") from error
    reader = open_csv_table(text)
    names = [(name or "").strip().lower() for name in reader.fieldnames or ()]
    # Any other table would give as many problems as it has rows.
    if not {"audio", "start", "shot"} & {*names}:
        raise DubfewError(
            f"{path} is no cue sheet: its first line names columns, such as {', '.join(COLUMNS)}"
        )
    reader.fieldnames = names
    lines: list[Line] = []
    problems: list[str] = []
    seen: set[str] = set()
    for cells in reader:
        place = f"line {reader.line_num}"
        given = {k: v.strip() for k, v in cells.items() if k in COLUMNS and v and v.strip()}
        if not given:
            continue
        try:
            line = _make_line(given, place, len(lines) + 1, path.parent, program)
            if line.id in seen:
                raise DubfewError(f"the id {line.id!r} is there twice")
        except DubfewError as error:
            # All rows are read, so that one call tells everything that is to be mended.
            problems.append(f"{place}: {error}")
            continue
        seen.add(line.id)
        lines.append(line)
    if not lines and not problems:
        raise DubfewError(f"{path} has no lines: give a row for each")
    return lines, problems, [name for name in names if name and name not in COLUMNS]


def parse_program_time(text: str, program: Program) -> Fraction:
    """Read a time in a program, s from its first frame.

    Args:
        text: a timecode of the program ("01:00:03:12"), a time of a clock ("00:00:03.5"), or
            seconds ("3.5").
        program: the timeline.

    Raises:
        DubfewError: The text is no time, or the time lies before the program.
    """
    clock = _CLOCK.fullmatch(text)
    try:
        if clock is not None:
            return Fraction(int(clock[1]) * 3600 + int(clock[2]) * 60) + Fraction(clock[3])
        if ":" not in text and ";" not in text:
            return _check_not_before(Fraction(text), text)
    except ValueError:
        raise DubfewError(
            f"{text[:40]!a} is no time: give a timecode such as 01:00:03:12, or seconds"
        ) from None
    frames = parse_timecode(text, program.rate, drop=program.drop)
    return _check_not_before((frames - program.first_frame) / program.rate, text)


def _check_not_before(time: Fraction, text: str) -> Fraction:
    if time < 0:
        raise DubfewError(f"the time {text} lies before the first frame of the program")
    return time


def _make_line(
    given: dict[str, str], place: str, number: int, folder: Path, program: Program
) -> Line:
    """Make a line from the cells of a row."""
    start, delay = given.get("start"), Fraction(0)
    if start is not None and start.startswith("+"):
        if "shot" not in given:
            raise DubfewError(f"the start {start} counts from a shot: name the shot")
        # Timecodes within a shot count from 0.
        delay, start = parse_program_time(start[1:], replace(program, first_frame=0)), None
    if start is None and "shot" not in given:
        raise DubfewError("a line needs a start or a shot")
    end = given.get("end")
    line = Line(
        id=given.get("id", f"line{number:03d}"),
        place=place,
        shots=tuple(filter(None, (each.strip() for each in given.get("shot", "").split("+")))),
        character=given.get("character", ""),
        language=given.get("language"),
        start=None if start is None else parse_program_time(start, program),
        delay=delay,
        end=None if end is None else parse_program_time(end, program),
        audio=(folder / given["audio"]).absolute() if "audio" in given else None,
        text=given.get("text", ""),
        actor=given.get("actor", ""),
        face=given.get("face"),
        motion=(folder / given["motion"]).absolute() if "motion" in given else None,
    )
    if line.start is not None and line.end is not None and line.end <= line.start:
        raise DubfewError(f"the line ends at {end}, before it begins")
    return line


def _read_subtitles(path: Path, program: Program) -> list[Line]:
    """Make a line of every subtitle."""
    cues = [each for each in read_transcript(path) if each.start is not None]
    times = [
        (
            Fraction(round((each.start or 0) * 1000), 1000),
            Fraction(round((each.end or 0) * 1000), 1000),
        )
        for each in cues
    ]
    # Subtitles of a program that begins at 01:00:00:00 often begin there, too.
    first = program.first_frame / program.rate
    shift = first if times and first and times[0][0] >= program.seconds else Fraction(0)
    return [
        Line(
            f"cue{k:03d}",
            f"cue {k}",
            character=each.speaker,
            language=each.language or None,
            start=begin - shift,
            end=end - shift,
            text=each.text,
        )
        for k, (each, (begin, end)) in enumerate(zip(cues, times, strict=True), 1)
    ]
