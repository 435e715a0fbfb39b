"""``dubfew conform``: cut the shots that have lines, render them as a batch, write the timeline."""

from __future__ import annotations

import json
import math
import re
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from dubfew.batch.decisions import REJECTED, read_decisions
from dubfew.batch.options import BatchOptions
from dubfew.batch.run import run_batch
from dubfew.conform.lines import read_lines
from dubfew.conform.options import ConformOptions
from dubfew.conform.plan import ConformPlan, ShotPlan, cast_document, check_space, make_plan
from dubfew.conform.timeline import (
    TIMELINE_FORMATS,
    Program,
    add_sound_track,
    read_program,
    reference_media,
    relink_missing,
    write_program,
)
from dubfew.errors import DubfewError
from dubfew.media import Audio, probe, read_audio
from dubfew.media.audio import DELIVERY_RATE_HZ
from dubfew.media.cutting import cut_pictures, read_sound_between
from dubfew.media.image_sequences import (
    ImageSequence,
    find_sequence,
    make_working_video,
    write_sequence,
)
from dubfew.media.in_memory import write_audio
from dubfew.media.loudness import measure_loudness
from dubfew.media.tempo import change_tempo
from dubfew.progress import Progress, ProgressCallback, no_progress
from dubfew.registry import Registry
from dubfew.render.placed_sound import PlacedSound, place_speech
from dubfew.utils.counts import count_things
from dubfew.utils.files import atomic_path, sha256_file, write_atomic
from dubfew.utils.options import document_options, merge_options, share_options

# Folder in that of the outputs for cut shots, their sound and their casts.
WORK_FOLDER_NAME = ".dubfew-conform"
# Table of the jobs in it.
TABLE_NAME = "shots.jsonl"
# Sound of a shot in its folder there.
SOUND_NAME = "sound.wav"


@dataclass(frozen=True)
class ConformResult:
    """What became of a conform.

    Attributes:
        folder: folder of the new shots.
        timelines: the new timelines, that of OpenTimelineIO first; empty after a mere check.
        done: ids of the shots that were rendered now.
        kept: ids of those that were rendered before.
        failed: reason of each failure, by the shot's id; these shots show their originals.
        changed: ids of the shots that were rendered before and have changed since.
        untouched: number of shots without lines.
        summary: page about the rendered shots, or None.
        seconds: duration, s.
        loudness: integrated loudness, LUFS, and true peak, dBTP, of the sound of each rendered
            shot; None where it is silent.
    """

    folder: Path
    timelines: tuple[Path, ...]
    done: tuple[str, ...]
    kept: tuple[str, ...]
    failed: Mapping[str, str]
    changed: tuple[str, ...]
    untouched: int
    summary: Path | None
    seconds: float
    loudness: Mapping[str, tuple[float | None, float | None]] = field(default_factory=dict)


class InvalidConformError(DubfewError):
    """A timeline or its lines have problems, so that nothing was begun.

    Attributes:
        problems: a line for each.
    """

    def __init__(self, message: str, problems: Sequence[str]) -> None:
        super().__init__(message)
        self.problems = tuple(problems)


@document_options(ConformOptions)
def conform_timeline(
    timeline: Path | str,
    lines: Path | str,
    folder: Path | str,
    options: ConformOptions | None = None,
    *,
    actors: Mapping[str, str] | None = None,
    registry: Registry | None = None,
    on_plan: Callable[[ConformPlan], None] | None = None,
    progress: ProgressCallback = no_progress,
    **overrides: Any,
) -> ConformResult:
    """Render the shots of a timeline that have lines, and write a timeline that shows them.

    Everything is checked before the work. The other shots stay references to their originals. An
    interrupted conform goes on where it was.

    Args:
        timeline: .edl, .xml (Final Cut Pro 7) or .otio.
        lines: cue sheet or subtitles, see `read_lines`.
        folder: folder of the outputs.
        options: the options below as one object; those given as keywords override it.
        actors: ids of actors by the characters' names; others have the character's name as id.
        registry: registry that holds the actors; default: the user's own.
        on_plan: function that is called with what will be done, before the work begins. An
            exception that it raises prevents the work.
        progress: function that is called with the progress of the whole.

    Returns:
        What became of the shots.

    Raises:
        InvalidConformError: The timeline, its media or its lines have problems; nothing was begun.
        MediaError: A file does not exist.
        DubfewError: A file is no timeline or no cue sheet, or another one works in the folder.
        MissingDependencyError: OpenTimelineIO is not installed.
    """
    options = merge_options(ConformOptions, options, overrides)
    folder, registry = Path(folder).absolute(), registry or Registry()
    began = time.monotonic()
    media = None if options.media is None else Path(options.media)
    program = read_program(Path(timeline), rate=options.rate, media=media)
    found, problems, unused = read_lines(lines, program)
    # Problems of the timeline, its media and its lines are told together.
    plan, more = make_plan(program, found, options, registry, actors or {}, folder)
    problems += [*more, *filter(None, [check_space(plan, folder)])]
    problems += _check_names(program, folder)
    if problems:
        number = count_things(len(problems), "problem")
        raise InvalidConformError(
            f"{timeline} and {lines} have {number}, and nothing was begun: {problems[0]}", problems
        )
    # A column that is not used may be a misspelled one.
    if unused:
        note = f"columns of {Path(lines).name} that are not used: {', '.join(unused)}"
        plan = ConformPlan(plan.program, plan.shots, plan.untouched, (*plan.notes, note))
    if on_plan is not None:
        on_plan(plan)
    if options.check:
        count = len(plan.untouched)
        return ConformResult(folder, (), (), (), {}, (), count, None, time.monotonic() - began)
    # The shots are a batch: checks, resuming and isolation are those of `run_batch`.
    table = _prepare(plan, folder, options, progress)
    batch = run_batch(
        table, folder, share_options(options, BatchOptions), registry=registry, progress=progress
    )
    failed = dict(batch.failed)
    for shot in plan.shots:
        # A timeline that points to a short or missing file would only fail in the editor.
        problem = "" if shot.shot.id in failed else _check_output(shot, folder)
        if problem:
            failed[shot.shot.id] = problem
    timelines = _write_timelines(plan, folder, {*failed, *_find_rejected(plan, folder, options)})
    return ConformResult(
        folder,
        timelines,
        tuple(each for each in batch.done if each not in failed),
        batch.kept,
        failed,
        batch.changed,
        len(plan.untouched),
        batch.summary,
        time.monotonic() - began,
        {shot.shot.id: _measure_sound(folder, shot) for shot in plan.shots},
    )


def _measure_sound(folder: Path, shot: ShotPlan) -> tuple[float | None, float | None]:
    """Measure the loudness of a shot's sound as it was written for the render."""
    found = measure_loudness(
        read_audio(folder / WORK_FOLDER_NAME / shot.shot.id / SOUND_NAME, DELIVERY_RATE_HZ)
    )
    values = (found.integrated, found.true_peak)
    rounded = [round(value, 1) if math.isfinite(value) else None for value in values]
    return rounded[0], rounded[1]


def _check_names(program: Program, folder: Path) -> list[str]:
    """Check that no timeline that is written is the one that was read."""
    written = _timeline_paths(program, folder)
    return [
        f"{path} is the timeline itself: name another --out"
        for path in written
        if path == program.path
    ]


def _timeline_paths(program: Program, folder: Path) -> list[Path]:
    """List the timelines to write: OpenTimelineIO's own, and the format that was read."""
    suffixes = dict.fromkeys((".otio", program.path.suffix.lower()))
    return [folder / f"{program.path.stem}{suffix}" for suffix in suffixes]


def _prepare(
    plan: ConformPlan, folder: Path, options: ConformOptions, progress: ProgressCallback
) -> Path:
    """Cut the shots, make their sound and casts, and write the table of jobs."""
    work = folder / WORK_FOLDER_NAME
    rows = []
    for number, shot in enumerate(plan.shots):
        progress(Progress("shots", number, len(plan.shots)))
        place = work / shot.shot.id
        place.mkdir(parents=True, exist_ok=True)
        _cut_shot(shot, place)
        cast = place / "cast.json"
        sound = place / SOUND_NAME
        files = _write_sounds(shot, place, sound, options)
        write_atomic(cast, cast_document(shot, files, sound).encode())
        # Options of the conform that concern the render; what is None keeps the render's default.
        is_lossless = options.lossless or shot.pictures is not None
        row = {
            "id": shot.shot.id,
            "cast": str(cast),
            "video": str(place / "shot.mkv"),
            "out": shot.out,
            "codec": shot.codec,
            "crf": None if is_lossless else options.crf,
            "lossless": is_lossless or None,
            "watermark": None if options.watermark else False,
            "language": shot.lines[0].line.language or options.language,
            "use": options.use,
            "territory": options.territory,
            "project": options.project,
        }
        rows.append({name: value for name, value in row.items() if value is not None})
    progress(Progress("shots", len(plan.shots), len(plan.shots)))
    if not rows:
        raise DubfewError("no shot has a line: nothing is to be rendered")
    table = work / TABLE_NAME
    text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    write_atomic(table, text.encode())
    return table


def _cut_shot(shot: ShotPlan, place: Path) -> None:
    """Cut the pictures of a shot, unless the same piece of the same file was cut before."""
    media = shot.shot.media
    files = [media] if shot.pictures is None else [*shot.pictures.files]
    facts = [file.stat() for file in files if file is not None]
    wanted = {
        "media": str(shot.info.path),
        "size": sum(each.st_size for each in facts),
        "modified_ns": max(each.st_mtime_ns for each in facts),
        "first": shot.first,
        "frames": shot.frames,
        "timecode": shot.timecode,
    }
    record, cut = place / "cut.json", place / "shot.mkv"
    if cut.exists() and record.exists() and _read_json(record) == wanted:
        return
    record.unlink(missing_ok=True)
    if shot.pictures is not None:
        make_working_video(shot.pictures, cut, rate=shot.info.fps)
    else:
        assert media is not None  # as planned
        cut_pictures(media, cut, shot.first, shot.frames, timecode=shot.timecode)
    write_atomic(record, json.dumps(wanted).encode())


def _write_pictures(shot: ShotPlan, folder: Path) -> ImageSequence:
    """Write the pictures of a new shot, unless they were written from the same render before."""
    assert shot.pictures is not None
    place, cut = folder / shot.shot.id, folder / WORK_FOLDER_NAME / shot.shot.id / "shot.mkv"
    last = shot.pictures.files[-1]
    digits = len(re.findall(r"\d+", last.stem)[-1])
    pattern = place / f"{shot.shot.id}.%0{digits}d{last.suffix}"
    record = cut.with_name("pictures.json")
    wanted = {"dub": sha256_file(folder / shot.out), "first": shot.pictures.numbers[0]}
    if not record.exists() or _read_json(record) != wanted:
        record.unlink(missing_ok=True)
        write_sequence(shot.pictures, cut, folder / shot.out, pattern, overwrite=True)
        write_atomic(record, json.dumps(wanted).encode())
    return find_sequence(pattern)


def _read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_bytes())
    except ValueError:
        return None  # damaged: it is made anew


def _write_sounds(
    shot: ShotPlan, place: Path, sound: Path, options: ConformOptions
) -> dict[str, Path]:
    """Write the sound of a shot, and of each line that is not a file as it is."""
    files: dict[str, Path] = {}
    placed = []
    rate = DELIVERY_RATE_HZ
    fps = shot.info.fps
    for number, each in enumerate(shot.lines):
        line, start = each.line, each.start
        # Without a conversion where the file is neither cut nor sped up.
        if line.audio is not None and start >= 0 and each.tempo <= 1:
            path = line.audio
        else:
            path = place / f"line{number + 1}.wav"
            _write_line(shot, each, path, options)
        # A line may begin before its shot; its first part is then cut off.
        begin = max(start, Fraction(0))
        files[line.id] = path
        end = None if line.end is None else float(line.end - shot.program_start)
        spoken = float(start) + each.seconds / each.tempo
        placed.append(PlacedSound(path, float(begin), None if end is None else max(end, spoken)))
    seconds = shot.frames / fps
    if options.audio is not None:
        whole = read_sound_between(Path(options.audio), shot.program_start, seconds, rate)
    else:
        # Pictures have no sound of their own.
        silence = Audio(np.zeros(round(seconds * rate), np.float32), rate)
        media = shot.shot.media
        bed = (
            silence if media is None else read_sound_between(media, shot.first / fps, seconds, rate)
        )
        whole = place_speech(bed, placed)
    _write_sound(sound, whole)
    return files


def _write_line(shot: ShotPlan, placed: Any, path: Path, options: ConformOptions) -> None:
    """Write the part of a line's sound that lies in the shot, at the speed that it is spoken."""
    line, rate = placed.line, DELIVERY_RATE_HZ
    begin = max(placed.start, Fraction(0))
    skipped = begin - placed.start
    if line.audio is None:
        left = Fraction(placed.seconds) - skipped
        start = shot.program_start + begin
        audio = read_sound_between(Path(options.audio or ""), start, left, rate)
    else:
        audio = read_sound_between(line.audio, Fraction(0), Fraction(placed.seconds), rate)
        audio = change_tempo(audio, placed.tempo) if placed.tempo > 1 else audio
        audio = Audio(audio.samples[round(skipped * rate) :], rate)
    _write_sound(path, audio)


def _write_sound(path: Path, audio: Audio) -> None:
    with atomic_path(path) as temporary:
        write_audio(temporary, audio)


def _check_output(shot: ShotPlan, folder: Path) -> str:
    """Return a text where a new shot has not exactly the frames that the timeline needs, or ""."""
    path = folder / shot.out
    if not path.exists():
        return "it was not rendered"
    info = probe(path)
    if info.frames is not None and info.frames != shot.frames:
        return f"it has {info.frames} frames, and {shot.frames} were expected"
    if (info.width, info.height) != (shot.info.width, shot.info.height):
        return f"it is {info.width} x {info.height}, not {shot.info.width} x {shot.info.height}"
    return ""


def _find_rejected(plan: ConformPlan, folder: Path, options: ConformOptions) -> set[str]:
    """Find the shots that a review rejected."""
    if options.retakes is None:
        return set()
    decisions = read_decisions(options.retakes)
    return {
        each.shot.id
        for each in plan.shots
        if decisions.verdict(each.shot.id, folder / each.out) == REJECTED
    }


def _write_timelines(plan: ConformPlan, folder: Path, left: Collection[str]) -> tuple[Path, ...]:
    """Point the clips to their new shots but for some, and write the timeline in all formats."""
    program = plan.program
    shown = []
    for shot in program.shots:
        relink_missing(shot)
    for each in plan.shots:
        # A shot that failed or was rejected keeps its original, so that the timeline can be shown.
        if each.shot.id in left:
            continue
        pictures = None if each.pictures is None else _write_pictures(each, folder)
        reference_media(
            each.shot.clip,
            folder / each.out,
            each.source_start,
            each.frames,
            each.info.fps,
            {
                "id": each.shot.id,
                "lines": [placed.line.id for placed in each.lines],
                "actors": [*dict.fromkeys(placed.actor for placed in each.lines)],
                "handles": list(each.handles),
            },
            pictures,
        )
        shown.append(each.shot)
    add_sound_track(program, shown)
    paths = _timeline_paths(program, folder)
    for path in paths:
        assert path.suffix in TIMELINE_FORMATS
        write_program(program.timeline, path, program.rate, drop=program.drop)
    return tuple(paths)
