"""Actors learned from footage that lacks something, and measured on what it lacked.

A few seconds never show everything. Here they are chosen so that they lack something certain: wide
mouths, teeth, any opening, turned heads. The actor is learned from them, the whole clip is rendered
with the motion that was tracked in it, and the inside of the mouth is measured in frames that are
apart from the known ones.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dubfew.adapt.pipeline import adapt
from dubfew.errors import DubfewError
from dubfew.evaluate.clip_landmarks import detect_landmarks
from dubfew.evaluate.face_geometry import has_face, mouth_opening
from dubfew.evaluate.mouth_parts import (
    INSIDE_MEASURES,
    find_mouth_parts,
    head_turn,
    measure_mouths,
    measure_teeth,
    save_mouth_sheet,
    summarize_parts,
)
from dubfew.media import VideoWriter, probe, read_frames
from dubfew.progress import ProgressCallback, no_progress
from dubfew.references.teeth import TEETH_SHARE
from dubfew.registry import Registry
from dubfew.render.pipeline import render
from dubfew.utils.files import write_atomic
from dubfew.utils.jsonable import to_jsonable
from dubfew.utils.markdown import markdown_table
from dubfew.utils.runs import iterate_runs

# Name of the prior without weights, whose network passes the warp through.
BARE_WARP = "warp"
# Length of the part with the smallest openings, s, and of the shortest footage, frames.
SMALLEST_SECONDS, FEW_FRAMES = 1.6, 25
# Most footage that is taken of scattered frames, s, and the shortest run of them, frames: shorter
# ones are the beginning and the end of something else.
MAX_SECONDS, MIN_RUN = 4.0, 5
# Fewest frames that an actor is learned from here.
MIN_FRAMES = 12
# Opening below which lips are closed, in distances of the eye corners.
CLOSED_BELOW = 0.02
# Part of the frames, those least turned, that counts as frontal.
FRONTAL_PART = 1 / 3
# Time beside a known frame that is not measured, s: neighbors show nearly the same.
MARGIN_SECONDS = 0.4


@dataclass(frozen=True)
class FootageFacts:
    """What is known of every frame of a clip.

    Attributes:
        openings: gap of the lips, in distances of the eye corners; NaN without a face. [N]
        teeth: share of the opening that shows teeth, 0 to 1. [N]
        turn: how far the head is turned, degrees; NaN without a face. [N]
        fps: frames per second.
    """

    openings: NDArray[np.float64]
    teeth: NDArray[np.float64]
    turn: NDArray[np.float64]
    fps: float


def _smallest(facts: FootageFacts) -> NDArray[np.int64]:
    length = min(round(SMALLEST_SECONDS * facts.fps), len(facts.openings) // 2)
    openings = np.nan_to_num(facts.openings, nan=np.inf)
    starts = range(len(openings) - length + 1)
    start = min(starts, key=lambda s: float(np.quantile(openings[s : s + length], 0.9)))
    return np.arange(start, start + length)


def _without_teeth(facts: FootageFacts) -> NDArray[np.int64]:
    return _take_runs((facts.teeth <= TEETH_SHARE) & np.isfinite(facts.openings), facts.fps)


def _closed(facts: FootageFacts) -> NDArray[np.int64]:
    return _take_runs(facts.openings < CLOSED_BELOW, facts.fps)


def _frontal(facts: FootageFacts) -> NDArray[np.int64]:
    return _take_runs(facts.turn <= np.nanquantile(facts.turn, FRONTAL_PART), facts.fps)


def _few(facts: FootageFacts) -> NDArray[np.int64]:
    return np.arange(min(FEW_FRAMES, len(facts.openings) // 2))


def _take_runs(flags: NDArray[np.bool_], fps: float) -> NDArray[np.int64]:
    """Take the longest runs first, as much as footage of a few seconds has. [M]"""
    runs = sorted(iterate_runs(flags), key=lambda run: run[0] - run[1])
    chosen: list[int] = []
    for first, stop in runs:
        if stop - first >= MIN_RUN:
            chosen += range(first, stop)
    return np.sort(np.array(chosen[: round(MAX_SECONDS * fps)], np.int64))


# How footage is restricted, by name.
RESTRICTIONS: Mapping[str, Callable[[FootageFacts], NDArray[np.int64]]] = {
    "smallest": _smallest,
    "no-teeth": _without_teeth,
    "closed": _closed,
    "frontal": _frontal,
    "25-frames": _few,
}


@dataclass(frozen=True)
class Variant:
    """A way to learn and render an actor.

    Attributes:
        prior: name or folder of the prior; None for the shipped one.
        steps: training steps; None for as many as ``adapt`` makes.
        options: further options of ``adapt``.
        around: makes a context in which the actor is learned and rendered.
    """

    prior: str | None = None
    steps: int | None = 0
    options: Mapping[str, Any] | None = None
    around: Callable[[], AbstractContextManager[Any]] = nullcontext


# Rows of a table: each has more than the one before.
VARIANTS: Mapping[str, Variant] = {
    "references": Variant(prior=BARE_WARP),
    "prior": Variant(),
    "adapted": Variant(steps=None),
}


@dataclass(frozen=True)
class RestrictedResult:
    """One clip under one restriction.

    Attributes:
        clip: name of the clip.
        restriction: one of ``RESTRICTIONS``.
        known_frames: number of frames that were known.
        known_opening: widest opening that was known, in distances of the eye corners.
        needed_opening: widest opening that was measured.
        values: measures by variant, then by part, then by measure.
    """

    clip: str
    restriction: str
    known_frames: int
    known_opening: float
    needed_opening: float
    values: Mapping[str, Mapping[str, Mapping[str, float]]]


def check_restriction(name: str) -> None:
    """Check that there is a restriction of a name.

    Raises:
        DubfewError: There is no such restriction.
    """
    if name not in RESTRICTIONS:
        raise DubfewError(f"no restriction {name!r}: there are {', '.join(RESTRICTIONS)}")


def choose_known_frames(restriction: str, facts: FootageFacts) -> NDArray[np.int64]:
    """Choose the frames that are known under a restriction.

    Args:
        restriction: one of ``RESTRICTIONS``.
        facts: what is known of the clip.

    Returns:
        Rows in order. [M]

    Raises:
        DubfewError: There is no such restriction, or the clip has too few such frames.
    """
    check_restriction(restriction)
    rows = RESTRICTIONS[restriction](facts)
    if len(rows) < MIN_FRAMES:
        raise DubfewError(
            f"{restriction}: the clip has {len(rows)} such frames in runs of {MIN_RUN} and more, "
            f"and {MIN_FRAMES} are needed: take another clip or restriction"
        )
    return rows


def run_restricted(
    clip: Path,
    restriction: str,
    *,
    variants: Mapping[str, Variant] = VARIANTS,
    prior: str | None = None,
    steps: int | None = None,
    seconds: float | None = None,
    sheet: Path | None = None,
    progress: ProgressCallback = no_progress,
) -> RestrictedResult:
    """Learn an actor from restricted footage, render the clip, and measure what was not known.

    Args:
        clip: video of one person.
        restriction: one of ``RESTRICTIONS``.
        variants: rows of the table.
        prior: prior of the variants that name none; None for the shipped one.
        steps: training steps of the variants that name none; None for as many as ``adapt`` makes.
        seconds: length of the clip that is used, from its start, s; None for all.
        sheet: picture (.png) of the widest mouths to write: film above, then the variants.
        progress: function that is called with the state of each step.

    Raises:
        DubfewError: The clip has too few such frames, or nothing is left to measure.
        NoFaceError: No frame shows a face.
        MediaError: The clip cannot be read.
    """
    with tempfile.TemporaryDirectory(prefix="dubfew-restricted-") as name:
        folder = Path(name)
        if seconds is not None:
            stop = round(seconds * float(probe(clip).fps))
            clip, original = folder / f"{clip.stem}.mkv", clip
            write_frames(clip, original, np.arange(stop))
        landmarks = detect_landmarks(clip, progress=progress)
        teeth = measure_teeth(clip, landmarks)
        facts = FootageFacts(
            mouth_opening(landmarks), teeth, head_turn(landmarks), float(probe(clip).fps)
        )
        known = choose_known_frames(restriction, facts)
        margin = round(MARGIN_SECONDS * facts.fps)
        near = (known[:, None] + np.arange(-margin, margin + 1)).ravel()
        rows = np.setdiff1d(np.flatnonzero(has_face(landmarks)), near)
        rows = rows[facts.openings[rows] > 0]
        if not len(rows):
            raise DubfewError(f"{restriction}: all of {clip.name} is known or beside it")
        footage = folder / "known.mkv"
        write_frames(footage, clip, known)
        outputs = {}
        for label, variant in variants.items():
            outputs[label] = folder / f"{label}.mkv"
            registry = Registry(folder / "home" / label)
            with variant.around():
                adapt(
                    footage,
                    actor="actor",
                    prior=variant.prior or prior,
                    steps=steps if variant.steps is None else variant.steps,
                    registry=registry,
                    progress=progress,
                    **(variant.options or {}),
                )
                render(
                    "actor",
                    video=clip,
                    drive="self",
                    out=outputs[label],
                    lossless=True,
                    watermark=False,  # what is measured is the renderer
                    registry=registry,
                    progress=progress,
                )
        parts = find_mouth_parts(landmarks, teeth, rows)
        curves = measure_mouths(clip, outputs, landmarks)
        if sheet is not None:
            save_mouth_sheet(sheet, [clip, *outputs.values()], landmarks, rows=rows)
    return RestrictedResult(
        clip.stem,
        restriction,
        len(known),
        float(np.nanmax(facts.openings[known])),
        float(facts.openings[rows].max()),
        {label: summarize_parts(found, parts) for label, found in curves.items()},
    )


def run_restricted_clips(
    clips: Sequence[Path],
    restrictions: Sequence[str],
    out: Path,
    *,
    progress: ProgressCallback = no_progress,
    **options: Any,
) -> tuple[list[RestrictedResult], dict[str, str]]:
    """Run several clips under several restrictions; one that fails is named, and the rest goes on.

    Args:
        clips: videos of one person each.
        restrictions: of ``RESTRICTIONS``.
        out: folder of ``mouths.md``, ``mouths.json`` and one picture of the widest mouths each,
            which are written after each clip, since the whole may be interrupted.
        progress: function that is called with the state of each step.
        **options: further arguments of `run_restricted`.

    Returns:
        Results, and why a clip could not be measured, by clip and restriction.

    Raises:
        DubfewError: There is no such restriction, or no clip could be measured.
    """
    for restriction in restrictions:
        check_restriction(restriction)
    results: list[RestrictedResult] = []
    failed: dict[str, str] = {}
    for restriction in restrictions:
        for clip in clips:
            sheet = out / f"{restriction}-{clip.stem}.png"
            try:
                results.append(
                    run_restricted(clip, restriction, sheet=sheet, progress=progress, **options)
                )
            except DubfewError as error:
                failed[f"{clip.name}, {restriction}"] = str(error)
                continue
            values = {"clips": [to_jsonable(each) for each in results], "failed": failed}
            write_atomic(out / "mouths.json", json.dumps(values, indent=1).encode())
            write_atomic(out / "mouths.md", format_restricted(results).encode())
    if not results:
        raise DubfewError(f"no clip can be measured: {next(iter(failed.values()))}")
    return results, failed


def write_frames(path: Path, clip: Path, rows: NDArray[np.int64]) -> None:
    """Write some frames of a clip one after another, without loss and without sound.

    Args:
        path: file to write.
        clip: file to take them from.
        rows: numbers of the frames, rising. [M]
    """
    info, wanted = probe(clip), set(rows.tolist())
    with VideoWriter(path, info, lossless=True) as writer:
        count = 0
        for frame in read_frames(clip, stop=int(rows[-1]) + 1):
            if frame.index in wanted:
                writer.write(frame.with_time(count, count / Fraction(info.fps)))
                count += 1


def format_restricted(results: Sequence[RestrictedResult]) -> str:
    """Format results as Markdown: one table per restriction and part.

    Args:
        results: results of clips, in the order of their rows.
    """
    lines = ["# Mouths that the footage lacked"]
    for restriction in dict.fromkeys(each.restriction for each in results):
        found = [each for each in results if each.restriction == restriction]
        lines.append(f"## Footage: {restriction}")
        known = [
            [each.clip, each.known_frames, each.known_opening, each.needed_opening]
            for each in found
        ]
        lines.append(markdown_table(["clip", "frames", "opening known", "opening needed"], known))
        for part in dict.fromkeys(p for each in found for v in each.values.values() for p in v):
            rows = list(_part_rows(found, part))
            lines += [f"### {part}", markdown_table(["clip", "row", *INSIDE_MEASURES], rows)]
    return "\n\n".join(lines) + "\n"


def _part_rows(results: Sequence[RestrictedResult], part: str) -> Iterator[list[Any]]:
    """Yield the rows of one part, then the mean of each variant."""
    by_label: dict[str, list[list[float]]] = {}
    for result in results:
        for label, parts in result.values.items():
            values = [parts[part][name] for name in INSIDE_MEASURES]
            by_label.setdefault(label, []).append(values)
            yield [result.clip, label, *(v if np.isfinite(v) else None for v in values)]
    for label, lines in by_label.items():
        columns = [[v for v in column if np.isfinite(v)] for column in zip(*lines, strict=True)]
        yield ["**mean**", label, *(float(np.mean(c)) if c else None for c in columns)]
