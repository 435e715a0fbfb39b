"""Timed Text Markup: cues with times, languages and speakers from TTML and IMSC.

Times alone are read; styles, regions and pictures are not. Source: W3C 2018, Timed Text Markup
Language 2 (Recommendation), sections 6.2 (parameters) and 12 (timing); W3C 2020, TTML Profiles for
Internet Media Subtitles and Captions 1.2.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from xml.etree import ElementTree

from dubfew.errors import DubfewError

# Endings of the files: W3C's, that of Flash's time, and that of iTunes.
TTML_SUFFIXES = (".ttml", ".dfxp", ".itt")
_TIME_CONTAINERS = ("body", "div", "p", "span")
# Deepest nesting of containers that is read: programs write two or three.
_MAX_DEPTH = 50
_CLOCK = re.compile(r"(\d{2,}):(\d\d):(\d\d)(\.\d+|:(\d{2,})(?:\.(\d+))?)?")
_OFFSET = re.compile(r"(\d+(?:\.\d+)?)(h|ms|m|s|f|t)")
_SECONDS_BY_UNIT: dict[str, Fraction] = {
    "h": Fraction(3600),
    "m": Fraction(60),
    "s": Fraction(1),
    "ms": Fraction(1, 1000),
}


@dataclass(frozen=True)
class TimedText:
    """A paragraph of a TTML file.

    Attributes:
        text: its text; line breaks are spaces.
        start: begin, s.
        end: end, s; None if the file does not say.
        speaker: name of its agent, or "".
        language: language code of the text, or "".
    """

    text: str
    start: Fraction
    end: Fraction | None
    speaker: str = ""
    language: str = ""


@dataclass(frozen=True)
class _Clock:
    """How a file counts times: rates of frames, parts of frames, and ticks."""

    frame_rate: Fraction
    sub_frames: int
    tick_rate: Fraction
    is_timecode: bool
    drops_numbers: bool


def read_ttml(text: str, name: str = "this file") -> list[TimedText]:
    """Read the paragraphs of a TTML or IMSC document, which may come from anybody.

    Args:
        text: the document.
        name: what the error message calls it.

    Raises:
        DubfewError: It is no TTML, declares entities, or has a time that cannot be read.
    """
    # Declared entities may grow without bound; TTML has none.
    if re.search(r"<!(DOCTYPE|ENTITY)", text, re.IGNORECASE):
        raise DubfewError(f"{name} declares a document type: TTML has none, remove it")
    # A string has no encoding left to declare.
    text = re.sub(r"^\s*<\?xml[^>]*\?>", "", text, count=1)
    try:
        root = ElementTree.fromstring(text)
    except (ElementTree.ParseError, ValueError) as error:
        raise DubfewError(f"{name} is no XML: {error}") from error
    if _local_name(root.tag) != "tt":
        raise DubfewError(f"{name} is no TTML: its root is {_local_name(root.tag)[:40]!a}, not tt")
    try:
        clock = _read_clock(root)
        body = next((each for each in root if _local_name(each.tag) == "body"), None)
        if body is None:
            return []
        state = _State("", _attribute(root, "lang"), 0)
        found = [*_walk(body, Fraction(0), None, clock, _find_agents(root), state)]
    except (ValueError, ZeroDivisionError) as error:
        raise DubfewError(f"{name} cannot be read as TTML: {error}") from error
    return sorted(found, key=lambda each: each.start)


@dataclass(frozen=True)
class _State:
    """What a container hands down: agent, language, depth."""

    agent: str
    language: str
    depth: int


def _walk(
    element: ElementTree.Element,
    origin: Fraction,
    limit: Fraction | None,
    clock: _Clock,
    agents: dict[str, str],
    state: _State,
) -> Iterator[TimedText]:
    """Go through a container; its times count from the begin of the one around it."""
    if state.depth > _MAX_DEPTH:
        raise ValueError(f"it nests more than {_MAX_DEPTH} containers")
    start, end = _find_span(element, origin, limit, clock)
    state = _State(
        _attribute(element, "agent") or state.agent,
        _attribute(element, "lang") or state.language,
        state.depth + 1,
    )
    if _local_name(element.tag) == "p":
        yield from _read_paragraph(element, start, end, clock, agents, state)
        return
    # In a sequence each child begins where the one before ended.
    is_sequence = _attribute(element, "timeContainer") == "seq"
    child_origin = start
    for child in element:
        if _local_name(child.tag) not in _TIME_CONTAINERS:
            continue
        yield from _walk(child, child_origin, end, clock, agents, state)
        if is_sequence:
            # One without an end of its own ends with its container, and nothing follows.
            child_origin = _find_span(child, child_origin, end, clock)[1] or child_origin


def _read_paragraph(
    paragraph: ElementTree.Element,
    start: Fraction,
    end: Fraction | None,
    clock: _Clock,
    agents: dict[str, str],
    state: _State,
) -> Iterator[TimedText]:
    """Read a paragraph, or its spans where they have times of their own."""
    timed = [
        each
        for each in paragraph.iter()
        if _local_name(each.tag) == "span"
        and {_local_name(key) for key in each.attrib} & {"begin", "end", "dur"}
    ]
    speaker = " ".join(agents.get(word, word) for word in state.agent.split())
    if not timed:
        yield TimedText(_join_text(paragraph), start, end, speaker, state.language)
        return
    for span in timed:
        begins, ends = _find_span(span, start, end, clock)
        yield TimedText(_join_text(span), begins, ends, speaker, state.language)


def _find_span(
    element: ElementTree.Element, origin: Fraction, limit: Fraction | None, clock: _Clock
) -> tuple[Fraction, Fraction | None]:
    """Find begin and end of an element within its container."""
    begin, end, duration = (_attribute(element, name) for name in ("begin", "end", "dur"))
    start = origin + (_parse_time(begin, clock) if begin else 0)
    ends = [limit] if limit is not None else []
    if end:
        ends.append(origin + _parse_time(end, clock))
    if duration:
        ends.append(start + _parse_time(duration, clock))
    return start, min(ends, default=None)


def _read_clock(root: ElementTree.Element) -> _Clock:
    """Read the parameters of times."""
    rate = Fraction(int(_attribute(root, "frameRate") or 30))
    multiplier = (_attribute(root, "frameRateMultiplier") or "1 1").replace(":", " ").split()
    if len(multiplier) != 2:
        raise ValueError("frameRateMultiplier is not two numbers")
    rate *= Fraction(int(multiplier[0]), int(multiplier[1]))
    sub_frames = int(_attribute(root, "subFrameRate") or 1)
    has_rate = bool(_attribute(root, "frameRate"))
    ticks = _attribute(root, "tickRate")
    tick_rate = Fraction(int(ticks)) if ticks else (rate * sub_frames if has_rate else Fraction(1))
    if rate <= 0 or tick_rate <= 0 or sub_frames <= 0:
        raise ValueError("a rate is not above 0")
    drop = _attribute(root, "dropMode")
    return _Clock(
        rate, sub_frames, tick_rate, _attribute(root, "timeBase") == "smpte", drop == "dropNTSC"
    )


def _parse_time(text: str, clock: _Clock) -> Fraction:
    """Read a time expression, s.

    Raises:
        ValueError: The text is no time expression.
    """
    text = text.strip()
    offset = _OFFSET.fullmatch(text)
    if offset is not None:
        if offset[2] in ("f", "t"):
            return Fraction(offset[1]) / (clock.frame_rate if offset[2] == "f" else clock.tick_rate)
        return Fraction(offset[1]) * _SECONDS_BY_UNIT[offset[2]]
    found = _CLOCK.fullmatch(text)
    if found is None or int(found[2]) > 59 or int(found[3]) > 60:
        raise ValueError(f"{text[:40]!a} is no time")
    minutes = 60 * int(found[1]) + int(found[2])
    whole = Fraction(60 * minutes + int(found[3]))
    frames = Fraction(found[5] or 0) + Fraction(int(found[6] or 0), clock.sub_frames)
    if frames >= round(clock.frame_rate) and frames > 0:
        raise ValueError(f"{text[:40]!a} has a frame that the rate does not have")
    if not clock.is_timecode:
        fraction = found[4] if found[4] and found[4].startswith(".") else "0"
        return whole + Fraction(fraction) + frames / clock.frame_rate
    # A timecode counts frames by the whole rate; dropped numbers are two a minute at 29.97.
    base = round(clock.frame_rate)
    count = whole * base + frames
    if clock.drops_numbers:
        count -= base // 15 * (minutes - minutes // 10)
    return count / clock.frame_rate


def _find_agents(root: ElementTree.Element) -> dict[str, str]:
    """Find the names of agents in the head, by their ids."""
    found = {}
    for agent in root.iter():
        if _local_name(agent.tag) != "agent":
            continue
        names = [_join_text(each) for each in agent if _local_name(each.tag) == "name"]
        identity = _attribute(agent, "id")
        if identity and names:
            found[identity] = names[0]
    return found


def _join_text(element: ElementTree.Element) -> str:
    """Join the text of an element; metadata is no text, and a line break is a space."""
    parts = [element.text or ""]
    for child in element:
        name = _local_name(child.tag)
        if name in ("span", "ruby"):
            parts.append(_join_text(child))
        elif name == "br":
            parts.append(" ")
        parts.append(child.tail or "")
    return " ".join("".join(parts).split())


def _attribute(element: ElementTree.Element, name: str) -> str:
    """Read an attribute by its name without a namespace, which versions of the standard change."""
    return next((v for key, v in element.attrib.items() if _local_name(key) == name), "")


def _local_name(name: object) -> str:
    # Comments and instructions have functions for tags.
    return name.rpartition("}")[2] if isinstance(name, str) else ""
