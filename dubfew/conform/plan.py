"""Plan of a conform: which shots have which lines, and whether everything is there."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import groupby
from pathlib import Path
from typing import Any

from dubfew.conform.lines import Line
from dubfew.conform.options import ConformOptions
from dubfew.conform.timecode import drops_numbers, exact_rate, format_timecode
from dubfew.conform.timeline import Program, Shot, media_start
from dubfew.errors import DubfewError
from dubfew.media import VideoInfo, probe
from dubfew.media.codecs import CONTAINER_FORMATS, choose_encoding, find_source_encoder
from dubfew.media.image_sequences import ImageSequence, describe_pictures, find_sequence
from dubfew.media.speech_span import read_speech_span
from dubfew.registry import Registry
from dubfew.render.options import RenderOptions
from dubfew.render.precheck import check_render_request
from dubfew.utils.files import check_input_file
from dubfew.utils.options import share_options

# Overlap of a line with a shot from which the shot has it, s: less than a sound is a rounded time.
_MIN_OVERLAP = Fraction(1, 20)
# Bytes per pixel of a frame without loss, which FFV1 needs about.
_LOSSLESS_BYTES_PER_PIXEL = 1.0


@dataclass(frozen=True)
class PlacedLine:
    """A line in one shot.

    Attributes:
        line: the line.
        actor: id of the actor who says it.
        start: begin in the file of the shot, s; below 0 where it began before.
        seconds: length of its sound, s.
        room: length of its place, s.
        speech_end: end of the last sound of its speech, s from its begin.
        tempo: factor by which it is spoken faster.
    """

    line: Line
    actor: str
    start: Fraction
    seconds: float
    room: float
    speech_end: float
    tempo: float = 1.0

    @property
    def excess(self) -> float:
        """Return by how much the speech is longer than its place, s; negative if it fits."""
        return self.speech_end / self.tempo - self.room


@dataclass(frozen=True)
class ShotPlan:
    """What will be done with a shot that has lines.

    Attributes:
        shot: the shot.
        info: properties of its media.
        media_start: time of the media's first frame on its clock, s.
        first: first frame of the new shot, in the media.
        frames: number of frames of the new shot, with its handles.
        handles: frames before and after the part that the timeline shows.
        timecode: timecode of the first frame, or "".
        out: name of the file to write.
        codec: encoder to write it with, or None for the container's own.
        lines: its lines.
        pictures: pictures of the new shot, where its media are a sequence, or None.
    """

    shot: Shot
    info: VideoInfo
    media_start: Fraction
    first: int
    frames: int
    handles: tuple[int, int]
    timecode: str
    out: str
    codec: str | None
    lines: tuple[PlacedLine, ...]
    pictures: ImageSequence | None = None

    @property
    def source_start(self) -> Fraction:
        """Return the time of the new shot's first frame on the clock of its media, s."""
        return self.media_start + self.first / self.info.fps

    @property
    def program_start(self) -> Fraction:
        """Return when the new shot begins in the program, s; its handles may begin before 0."""
        return self.shot.start - self.handles[0] / self.info.fps


@dataclass(frozen=True)
class ConformPlan:
    """What a conform will do. Nothing was cut or rendered for it.

    Attributes:
        program: the timeline.
        shots: the shots that have lines.
        untouched: the others.
        notes: what the user should know, the most important first.
    """

    program: Program
    shots: tuple[ShotPlan, ...]
    untouched: tuple[Shot, ...]
    notes: tuple[str, ...]

    def describe(self) -> list[tuple[str, str]]:
        """Describe the plan for readers, as pairs of a title and one line."""
        program = self.program
        drop = bool(program.drop)
        first = format_timecode(program.first_frame, program.rate, drop=drop)
        count = len(self.shots)
        lines = [
            (
                "Timeline",
                f"{program.path} ({len(program.shots)} shots, {float(program.seconds):.1f} s, "
                f"{float(program.rate):.5g} frames/s, from {first})",
            ),
            ("Render", f"{count} shot{'s' if count != 1 else ''} with lines"),
            ("Leave", f"{len(self.untouched)} shots as they are"),
        ]
        for plan in self.shots:
            # As the editor shows it: timecodes count from that of the program's first frame.
            begin = program.first_frame + round(plan.shot.start * program.rate)
            said = ", ".join(f"{each.line.id} ({each.actor})" for each in plan.lines)
            lines.append(
                (
                    plan.shot.id,
                    f"{format_timecode(begin, program.rate, drop=drop)}, {plan.frames} frames with "
                    f"handles of {plan.handles[0]} and {plan.handles[1]}: {said}",
                )
            )
        lines += [("Note", note) for note in self.notes]
        return lines


def make_plan(
    program: Program,
    lines: Sequence[Line],
    options: ConformOptions,
    registry: Registry,
    actors: Mapping[str, str],
    folder: Path,
) -> tuple[ConformPlan, list[str]]:
    """Give the lines to the shots, and check everything that can be checked before the work.

    Args:
        program: the timeline.
        lines: its lines.
        options: options of the conform.
        registry: registry that holds the actors.
        actors: ids of actors by the characters' names.
        folder: folder of the outputs.

    Returns:
        The plan, and a text for each problem.
    """
    problems: list[str] = []
    by_shot: dict[str, list[PlacedLine]] = {}
    notes: list[str] = []
    for line in lines:
        try:
            for shot, placed in _place_line(line, program, options, actors):
                by_shot.setdefault(shot.id, []).append(placed)
        except (DubfewError, OSError) as error:
            problems.append(f"{line.place} ({line.id}): {' '.join(str(error).split())}")
    plans = []
    for shot in program.shots:
        if shot.id not in by_shot:
            continue
        try:
            plan = _plan_shot(shot, by_shot[shot.id], options)
            _check_actors(plan, options, registry, folder)
            plans.append(plan)
        except (DubfewError, OSError) as error:
            problems.append(f"{shot.id}: {' '.join(str(error).split())}")
    for plan in plans:
        notes += _describe_fit(plan, options)
    untouched = tuple(shot for shot in program.shots if shot.id not in by_shot)
    notes += [f"{shot.id}: {shot.problem}; it stays as it is" for shot in untouched if shot.problem]
    return ConformPlan(program, tuple(plans), untouched, tuple(notes)), problems


def check_space(plan: ConformPlan, folder: Path) -> str:
    """Return a text where the disk has no room for the cut shots, or "".

    Args:
        plan: the plan.
        folder: folder of the outputs.
    """
    sizes = [each.info.width * each.info.height * each.frames for each in plan.shots]
    needed = sum(sizes) * _LOSSLESS_BYTES_PER_PIXEL
    place = next(each for each in (folder, *folder.parents) if each.exists())
    free = shutil.disk_usage(place).free
    if needed <= free:
        return ""
    return (
        f"the cut shots need about {needed / 1e9:.1f} GB, and {place} has {free / 1e9:.1f} GB free"
    )


def _place_line(
    line: Line, program: Program, options: ConformOptions, actors: Mapping[str, str]
) -> list[tuple[Shot, PlacedLine]]:
    """Find the shots of a line, and its place in each."""
    shots = _find_shots(line, program)
    start = shots[0].start + line.delay if line.start is None else line.start
    if not shots[0].start <= start < shots[0].end and len(shots) == 1:
        raise DubfewError(f"it begins outside of its shot {shots[0].id}")
    actor = line.actor or actors.get(line.character, line.character) or options.actor or ""
    if not actor:
        raise DubfewError("it names no actor and no character: give --actor")
    end = line.end
    if line.audio is not None:
        check_input_file(line.audio)
        span = read_speech_span(line.audio)
        seconds, speech_end = span.seconds, span.end
    elif options.audio is not None:
        check_input_file(Path(options.audio))
        if end is None:
            raise DubfewError("its sound is cut from --audio: give its end")
        seconds = speech_end = float(end - start)
    else:
        raise DubfewError("it has no sound: give its audio, or --audio for the whole program")
    if line.motion is not None:
        check_input_file(line.motion)
    room = float((shots[-1].end if end is None else end) - start)
    tempo = 1.0
    # A stored motion has the speed that it was made at.
    if room > 0 and speech_end > room and line.audio is not None and line.motion is None:
        needed = speech_end / room
        tempo = needed if needed <= options.stretch else 1.0
    found = []
    for shot in shots:
        # The handles come later.
        placed = PlacedLine(line, actor, start - shot.start, seconds, room, speech_end, tempo)
        last = start + Fraction(seconds / tempo)
        if min(last, shot.end) - max(start, shot.start) >= min(_MIN_OVERLAP, shot.seconds):
            found.append((shot, placed))
    if not found:
        raise DubfewError(f"it is not heard in {', '.join(shot.id for shot in shots)}")
    return found


def _find_shots(line: Line, program: Program) -> list[Shot]:
    """Find the shots that a line names, or the one in which it begins."""
    found = []
    for word in line.shots:
        fitting = [
            shot
            for shot in program.shots
            if word.lower() in (shot.id.lower(), shot.name.lower(), Path(shot.name).stem.lower())
        ]
        if not fitting and word.isdecimal():
            fitting = [s for s in program.shots if s.number == int(word) and s.id[0].isdigit()]
        if len(fitting) > 1 and line.start is not None:
            start = line.start
            fitting = [s for s in fitting if s.start <= start < s.end] or fitting
        if not fitting:
            raise DubfewError(f"no shot {word[:60]!a}: there are {_list_ids(program.shots)}")
        if len(fitting) > 1:
            raise DubfewError(f"{len(fitting)} shots are {word!a}: name {fitting[0].id} or another")
        found += fitting
    if found:
        return sorted(found, key=lambda shot: shot.start)
    assert line.start is not None  # as the reader checks
    start = line.start
    # The topmost track is the one that is seen.
    seen = [shot for shot in program.shots if shot.start <= start < shot.end]
    if not seen:
        raise DubfewError(f"no shot is there at {float(start):.2f} s: it begins in a gap")
    return seen[-1:]


def _list_ids(shots: Sequence[Shot]) -> str:
    names = [shot.id for shot in shots[:8]]
    return ", ".join(names) + (" ..." if len(shots) > 8 else "")


def _plan_shot(shot: Shot, placed: Sequence[PlacedLine], options: ConformOptions) -> ShotPlan:
    """Plan the cut and the encoding of a shot."""
    if shot.problem:
        raise DubfewError(shot.problem)
    info, start, pictures = _describe_media(shot)
    rate, name = info.fps, info.path.name
    first, frames = (shot.source_start - start) * rate, shot.seconds * rate
    if first.denominator != 1 or frames.denominator != 1:
        raise DubfewError(
            f"{name} has {float(rate):.5g} frames/s, and the cuts of the timeline do "
            "not lie between its frames: conform it to the timeline's rate first"
        )
    total = info.frames or round(info.duration * float(rate))
    before = max(options.handles, -int(-shot.before * rate // 1))
    after = max(options.handles, -int(-shot.after * rate // 1))
    begin, end = int(first), int(first + frames)
    if begin < 0 or end > total:
        raise DubfewError(
            f"the timeline shows frames {begin} to {end} of {info.path}, which has {total}: its "
            "timecode is another one, or it is another file"
        )
    handles = (min(before, begin), min(after, total - end))
    begin -= handles[0]
    suffix = f".{options.container.lstrip('.')}" if options.container else info.path.suffix.lower()
    suffix = suffix if options.container or suffix in CONTAINER_FORMATS else ".mov"
    codec, crf, lossless = options.codec, options.crf, options.lossless
    if pictures is not None:
        # Its pictures are written from a video without loss.
        suffix, codec, crf, lossless = ".mkv", None, None, True
    if suffix not in CONTAINER_FORMATS:
        names = ", ".join(each.lstrip(".") for each in CONTAINER_FORMATS)
        raise DubfewError(f"no container {suffix.lstrip('.')!a}: there are {names}")
    if codec is None and not lossless:
        codec = find_source_encoder(suffix, info)
    out = f"{shot.id}{suffix}"
    choose_encoding(Path(out), info, codec, crf, lossless)
    for each in placed:
        if each.line.motion is not None and each.start * rate < -handles[0]:
            raise DubfewError(
                f"the motion of {each.line.id} begins before the shot: give the shot more handles"
            )
    frame = round(start * rate) + begin
    delay = Fraction(handles[0]) / rate
    return ShotPlan(
        shot=shot,
        info=info,
        media_start=start,
        first=begin,
        frames=handles[0] + int(frames) + handles[1],
        handles=handles,
        timecode=format_timecode(frame, rate, drop=drops_numbers(rate)),
        out=out,
        codec=codec,
        lines=tuple(replace(each, start=each.start + delay) for each in placed),
        pictures=None
        if pictures is None
        else pictures.select(begin, handles[0] + int(frames) + handles[1]),
    )


def _describe_media(shot: Shot) -> tuple[VideoInfo, Fraction, ImageSequence | None]:
    """Describe the media of a shot, the time of their first frame, and their pictures."""
    if shot.pictures is not None:
        pictures = find_sequence(shot.pictures.pattern)
        info = describe_pictures(pictures, shot.pictures.rate)
        start = shot.media_start
        return info, pictures.numbers[0] / info.fps if start is None else start, pictures
    assert shot.media is not None  # or there is a problem
    info = probe(shot.media)
    rate = exact_rate(info.fps)
    if rate != info.fps:
        info = replace(info, fps=rate)
    start = shot.media_start if shot.media_start is not None else media_start(shot.media, rate)
    return info, start, None


def _check_actors(
    plan: ShotPlan, options: ConformOptions, registry: Registry, folder: Path
) -> None:
    """Check actors and consent, for the language of every line."""
    for placed in plan.lines:
        own = share_options(
            options,
            RenderOptions,
            video=plan.shot.media if plan.pictures is None else plan.pictures.files[0],
            audio=None,
            out=folder / plan.out,
            language=placed.line.language or options.language,
            overwrite=True,
        )
        check_render_request(placed.actor, own, registry)
    languages = {each.line.language or options.language for each in plan.lines}
    if len(languages) > 1:
        raise DubfewError(
            f"its lines are in {len(languages)} languages: give one sheet for each language"
        )
    for actor, lines in groupby(sorted(plan.lines, key=lambda each: each.actor), lambda e: e.actor):
        if len({each.line.face for each in lines}) > 1:
            raise DubfewError(f"the lines of {actor} name several faces: name one")


def _describe_fit(plan: ShotPlan, options: ConformOptions) -> list[str]:
    """Say which lines are longer than their place, and what would help."""
    notes = []
    for each in plan.lines:
        name = f"{each.line.id} in {plan.shot.id}"
        if each.tempo > 1:
            notes.append(f"{name} is spoken {each.tempo:.3g} times as fast to fit its place")
        elif each.excess > 0.02:
            needed = each.speech_end / each.room if each.room > 0 else 0.0
            notes.append(
                f"{name} cannot fit: its speech is {each.excess:.2f} s longer than its place of "
                f"{each.room:.2f} s (--stretch {needed:.2f}, or shorter words)"
                if needed <= 1.5
                else f"{name} cannot fit: its speech is {each.excess:.2f} s longer than its place "
                f"of {each.room:.2f} s: it needs shorter words"
            )
    return notes


def cast_document(plan: ShotPlan, files: Mapping[str, Path], sound: Path) -> str:
    """Write the cast of a shot as JSON.

    Args:
        plan: the shot.
        files: sound of each line in the shot, by the line's id.
        sound: whole sound of the shot.
    """
    roles: list[dict[str, Any]] = []
    for placed in plan.lines:
        line = {
            "start": float(max(placed.start, Fraction(0))),
            "audio": str(files[placed.line.id]),
            **({"motion": str(placed.line.motion)} if placed.line.motion else {}),
        }
        known = next((role for role in roles if role["actor"] == placed.actor), None)
        if known is None:
            face = {} if placed.line.face is None else {"face": placed.line.face}
            roles.append({"actor": placed.actor, "lines": [line], **face})
        else:
            known["lines"].append(line)
    return json.dumps({"roles": roles, "sound": str(sound)}, indent=1, ensure_ascii=False)
