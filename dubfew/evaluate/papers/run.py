"""Runs of protocols and comparisons of systems, which can be interrupted and go on."""

from __future__ import annotations

import csv
import io
import json
import random
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

from dubfew.adapt.pipeline import adapt
from dubfew.data.executors import CLIP_EXECUTORS
from dubfew.errors import DubfewError
from dubfew.evaluate.compare import evaluate
from dubfew.evaluate.folders import FolderResult, evaluate_folder, list_videos, summarize
from dubfew.evaluate.papers.plot import ProtocolRow, plot_protocol
from dubfew.evaluate.papers.protocols import (
    FIRST_FRAME,
    PROTOCOLS,
    VARIANTS,
    PaperProtocol,
    load_published,
)
from dubfew.evaluate.papers.workers import CellJob, CellWorker
from dubfew.evaluate.perceptual.frechet import (
    StatisticsPair,
    pool_distance,
    read_statistics,
    write_statistics,
)
from dubfew.media import AudioSource, VideoWriter, probe, read_frames
from dubfew.progress import Progress, ProgressCallback, no_progress
from dubfew.registry import Registry
from dubfew.render.pipeline import render
from dubfew.utils.files import write_atomic
from dubfew.utils.machine import machine
from dubfew.utils.markdown import markdown_table
from dubfew.version import __version__

# Frames per second of all protocols.
PROTOCOL_FPS = Fraction(25)
# Measures of sets of features: of several clips they have one value, that of all frames.
POOLED_MEASURES = ("fid", "fvd")
# Fewest frames to learn from and to measure: a second each.
MIN_FRAMES = 25
# Share of a clip that is measured where it is too short for the protocol.
SHORT_TEST_SHARE = 1 / 3


@dataclass(frozen=True)
class ProtocolCell:
    """One clip under one condition.

    Attributes:
        clip: name of the clip.
        known: known frames that the protocol asks for.
        variant: one of ``VARIANTS``.
        values: measures by name; None without a value.
        shortened: True if the clip was too short for the protocol.
        sets: statistics of features, by measure, as long as they are not stored.
        sets_file: file that stores them; None for none.
    """

    clip: str
    known: int
    variant: str
    values: Mapping[str, float | None]
    shortened: bool
    sets: Mapping[str, StatisticsPair] = field(default_factory=dict, repr=False, compare=False)
    sets_file: Path | None = None


def run_protocol(
    name: str,
    data: Path,
    out: Path,
    *,
    is_dataset: bool = False,
    subjects: int | None = None,
    steps: int | None = None,
    prior: str | None = None,
    seed: int = 0,
    engine: str | None = None,
    jobs: int | None = None,
    progress: ProgressCallback = no_progress,
) -> str:
    """Run a protocol on the clips of a folder, and write its table.

    A clip under a condition that is done has a file in ``out`` and is not run again, unless an
    argument differs.

    Args:
        name: one of ``PROTOCOLS``.
        data: folder of clips, one person each.
        out: folder of the results.
        is_dataset: True if the clips are the data set that the protocol names; otherwise the table
            says "own clips".
        subjects: number of clips; default: that of the protocol, or all if there are fewer.
        steps: training steps of the variant "dubfew"; default: as ``adapt`` has it.
        prior: name or folder of the prior; default: the shipped one.
        seed: seed of the choice of clips and of the training.
        engine: "local" for worker processes on this machine, "ray" for a cluster, whose machines
            see ``data`` and ``out`` at the same paths; None for this process alone.
        jobs: number of workers; None for as many as fit.
        progress: function that is called with the state of each step; of workers with the number
            of clips that are done, under all conditions.

    Returns:
        The table as Markdown; it is in ``out`` as well, and as CSV and as a plot.

    Raises:
        DubfewError: There is no such protocol or no clip can be used.
    """
    if name not in PROTOCOLS:
        raise DubfewError(f"no protocol {name!r}: there are {', '.join(PROTOCOLS)}")
    protocol = PROTOCOLS[name]
    clips = list_videos(data)
    count = min(len(clips), subjects or protocol.subjects)
    # Sampled by the seed and then sorted: the same clips in the same order on every machine.
    chosen = sorted(random.Random(seed).sample(clips, count))
    wanted = _list_cells(name, protocol, chosen, out, steps, prior, seed)
    failed: dict[str, str] = {}
    missing = [job for job in wanted if _read_cell(Path(job.file), job.setting) is None]
    for job, error in _measure_cells(missing, engine, jobs, progress):
        if error:
            condition = f"{job.setting['known']}, {job.setting['variant']}"
            failed[f"{job.setting['clip']}, {condition}"] = error
    found = (_read_cell(Path(job.file), job.setting) for job in wanted)
    cells = [cell for cell in found if cell is not None]
    if not cells:
        raise DubfewError(f"no clip of {data} can be used: {next(iter(failed.values()))}")
    text = _document(name, protocol, cells, failed, is_dataset)
    write_atomic(out / f"{name}.md", text.encode())
    write_atomic(out / f"{name}.csv", _to_csv(protocol, cells).encode())
    plot_protocol(out / f"{name}.svg", f"{name}: {protocol.title}", _collect_rows(protocol, cells))
    return text


def _list_cells(
    name: str,
    protocol: PaperProtocol,
    clips: Sequence[Path],
    out: Path,
    steps: int | None,
    prior: str | None,
    seed: int,
) -> list[CellJob]:
    """List every clip under every condition, in the order of the table."""
    cells = []
    for clip in clips:
        for known in protocol.known_frames:
            for variant, variant_steps in VARIANTS.items():
                if known == FIRST_FRAME and variant_steps != 0:
                    continue
                # All that the values depend on. A stored cell with another setting is measured
                # again.
                setting = {
                    "protocol": name, "clip": clip.name, "bytes": clip.stat().st_size,
                    "known": known, "variant": variant,
                    "steps": steps if variant_steps is None else variant_steps, "prior": prior,
                    "seed": seed, "dubfew": __version__,
                }  # fmt: skip
                file = out / name / f"{clip.stem}-{known}-{variant.replace(', ', '-')}.json"
                cells.append(CellJob(str(clip.resolve()), str(file.resolve()), setting))
    return cells


def _measure_cells(
    cells: Sequence[CellJob], engine: str | None, jobs: int | None, progress: ProgressCallback
) -> Iterator[tuple[CellJob, str]]:
    """Measure and store cells; yields each with the reason of its failure, or an empty one."""
    if engine is not None:
        run_jobs = CLIP_EXECUTORS.load(engine)
        stream = run_jobs(cells, jobs, make_worker=CellWorker)
        for done, (number, outcome) in enumerate(stream, 1):
            progress(Progress("measure", done, len(cells)))
            yield cells[number], outcome.error
        return
    for cell in cells:
        try:
            measure_cell(Path(cell.clip), cell.setting, Path(cell.file), progress)
        # A night of measuring should not end at one clip that cannot be tracked; the table says
        # what failed.
        except DubfewError as error:
            yield cell, str(error)
        else:
            yield cell, ""


def measure_cell(
    clip: Path,
    setting: Mapping[str, Any],
    file: Path,
    progress: ProgressCallback = no_progress,
) -> None:
    """Measure one clip under one condition, and store the result.

    Args:
        clip: the video.
        setting: all that the values depend on, with the protocol's name.
        file: JSON file to write.
        progress: function that is called with the state of each step.

    Raises:
        DubfewError: The clip cannot be used.
    """
    cell = _run_cell(PROTOCOLS[setting["protocol"]], clip, setting, progress)
    stored = {"setting": dict(setting), "values": dict(cell.values), "shortened": cell.shortened}
    # Stored at once, so that an interrupted run goes on from here. The values come last: without
    # them the cell is not done. The sets of all cells together would fill the memory.
    if cell.sets:
        write_statistics(_name_sets_file(file), cell.sets)
    write_atomic(file, json.dumps(stored, indent=1).encode())


def _name_sets_file(file: Path) -> Path:
    """Name the file of features beside the file of a cell."""
    return file.with_suffix(".npz")


def _read_cell(file: Path, setting: Mapping[str, Any]) -> ProtocolCell | None:
    """Read a result that was made under the same setting; None without one."""
    try:
        stored = json.loads(file.read_text("utf-8"))
        if stored["setting"] != setting:
            return None
        place = (setting["clip"], setting["known"], setting["variant"])
        values = stored["values"]
        sets_file = None
        # A value without its set of features cannot be pooled.
        if any(values.get(name) is not None for name in POOLED_MEASURES):
            sets_file = _name_sets_file(file)
            if not sets_file.exists():
                return None
        return ProtocolCell(*place, values, stored["shortened"], sets_file=sets_file)
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _run_cell(
    protocol: PaperProtocol, clip: Path, setting: Mapping[str, Any], progress: ProgressCallback
) -> ProtocolCell:
    """Learn the actor, render the test, and measure it."""
    with tempfile.TemporaryDirectory(prefix="dubfew-paper-") as folder:
        place = Path(folder)
        known, test, shortened = split_for_protocol(
            clip, place, setting["known"], protocol.test_frames
        )
        # A registry of its own: the subject never meets the user's actors, and goes with the
        # folder.
        registry = Registry(place / "home")
        options = {"steps": setting["steps"], "prior": setting["prior"], "seed": setting["seed"]}
        adapt(known, actor="subject", registry=registry, progress=progress, **options)
        output = place / "output.mkv"
        render(
            "subject",
            video=test,
            drive=protocol.drive,
            audio=test if protocol.drive == "audio" else None,
            out=output,
            # An encoder's losses would be measured as the renderer's.
            lossless=True,
            watermark=False,  # what is measured is the renderer
            registry=registry,
            progress=progress,
        )
        result = evaluate(test, output, progress=progress)
    values = result.to_json()
    return ProtocolCell(
        setting["clip"],
        setting["known"],
        setting["variant"],
        {name: values.get(name) for name in protocol.measures},
        shortened,
        {name: result.sets[name].statistics for name in protocol.measures if name in result.sets},
    )


def split_for_protocol(clip: Path, folder: Path, known: int, test: int) -> tuple[Path, Path, bool]:
    """Cut a clip into known frames and test, at 25 fps and without loss.

    The test is the end of the clip. A clip that is too short gives a third to the test, and to the
    known frames what is left.

    Args:
        clip: file.
        folder: folder for the two parts.
        known: frames to know; `FIRST_FRAME` is the first one of the test.
        test: frames to measure.

    Returns:
        File of the known frames, file of the test, and whether the clip was too short.

    Raises:
        DubfewError: The clip has fewer than two seconds.
    """
    info = probe(clip)
    if info.fps != PROTOCOL_FPS:
        raise DubfewError(
            f"{clip.name} has {float(info.fps):g} frames a second: convert it to 25, as papers do"
        )
    # Counted by decoding: what headers say of the number of frames is often wrong.
    total = sum(1 for _ in read_frames(clip))
    is_first = known == FIRST_FRAME
    before = 0 if is_first else known
    shortened = total < before + test
    test = min(test, int(total * SHORT_TEST_SHARE)) if shortened and not is_first else test
    test = min(test, total)
    before = min(before, total - test)
    if test < MIN_FRAMES or (before < MIN_FRAMES and not is_first):
        raise DubfewError(f"{clip.name} has {total} frames: give clips of 3 s and more")
    begin_known = total - test - before
    end_known = begin_known + (FIRST_FRAME if is_first else before)
    parts = []
    for name, start, stop in (
        ("known.mkv", begin_known, end_known), ("test.mkv", total - test, total)
    ):  # fmt: skip
        path = folder / name
        length = float((stop - start) / PROTOCOL_FPS)
        begin = float(start / PROTOCOL_FPS)
        sound = AudioSource(clip, start=begin, duration=length) if info.has_audio else None
        with VideoWriter(path, info, audio=sound, lossless=True) as writer:
            for index, frame in enumerate(read_frames(clip, start=start, stop=stop)):
                writer.write(frame.with_time(index, Fraction(index) / PROTOCOL_FPS))
        parts.append(path)
    return parts[0], parts[1], shortened


def _document(
    name: str,
    protocol: PaperProtocol,
    cells: Sequence[ProtocolCell],
    failed: Mapping[str, str],
    is_dataset: bool,
) -> str:
    """Format our rows, and the published ones below, marked as such."""
    # Values on own footage must never look like the paper's, so every row says what it was measured
    # on.
    place = protocol.dataset if is_dataset else "own clips"
    rows = [
        [row.variant, f"{place}, {row.known} known", row.count, *row.means.values()]
        for row in _collect_rows(protocol, cells)
    ]
    shortened = len({cell.clip for cell in cells if cell.shortened})
    parts = [
        f"# {name}: {protocol.title}",
        ", ".join(f"{key} {value}" for key, value in machine().items()),
        markdown_table(["system", "clips", "number", *protocol.measures], rows),
        "A dash: not measured, because weights or a package are missing (`dubfew assets list`). "
        "FID and FVD pool the frames of all clips, as papers do; the CSV file has those of single "
        "clips.",
    ]
    if not is_dataset:
        parts.append(
            f"Own clips, not {protocol.dataset}: these rows do not compare with the published ones."
        )
    if shortened:
        parts.append(f"{shortened} clips are too short for the protocol and were cut otherwise.")
    parts += [protocol.note, *(f"failed: {place}: {why}" for place, why in failed.items())]
    # The published rows are a table of their own: no reader should take them for measured ones.
    table = load_published()[protocol.published]
    published = [[row["system"], row["set"], *row["values"]] for row in table["rows"]]
    parts += [
        f"## Published: {table['title']}",
        "Copied from the paper; nothing here was measured by dubfew.",
        markdown_table(["system (published)", "set", *table["columns"]], published),
    ]
    return "\n\n".join(parts) + "\n"


def _collect_rows(protocol: PaperProtocol, cells: Sequence[ProtocolCell]) -> list[ProtocolRow]:
    """Collect the cells of each condition that has any, in the order of the table."""
    rows = []
    for known in protocol.known_frames:
        for variant in VARIANTS:
            found = [cell for cell in cells if (cell.known, cell.variant) == (known, variant)]
            if found:
                values = {
                    measure: [cell.values.get(measure) for cell in found]
                    for measure in protocol.measures
                }
                means = {measure: _summarize_cells(measure, found) for measure in protocol.measures}
                rows.append(ProtocolRow(variant, known, len(found), means, values))
    return rows


def _summarize_cells(measure: str, cells: Sequence[ProtocolCell]) -> float | None:
    """Average a measure over clips; of a set of features, pool the clips. None without a value."""
    values = [value for cell in cells if (value := cell.values.get(measure)) is not None]
    if not values:
        return None
    if measure in POOLED_MEASURES:
        files = [cell.sets_file for cell in cells if cell.sets_file is not None]
        return pool_distance(read_statistics(file, measure) for file in files)
    return sum(values) / len(values)


def _to_csv(protocol: PaperProtocol, cells: Sequence[ProtocolCell]) -> str:
    """Format every clip as a row of CSV."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(["clip", "known", "system", "shortened", *protocol.measures])
    for cell in cells:
        values = [cell.values.get(measure) for measure in protocol.measures]
        writer.writerow([cell.clip, cell.known, cell.variant, cell.shortened, *values])
    return buffer.getvalue()


def compare_systems(
    references: Path,
    systems: Mapping[str, Path],
    out: Path,
    *,
    progress: ProgressCallback = no_progress,
    **options: Any,
) -> str:
    """Measure the outputs of several systems on the clips that all of them have.

    Args:
        references: folder of originals, or one original.
        systems: folder of each system's outputs, by its name.
        out: folder of the table, as Markdown and CSV.
        progress: function that is called with the state of each comparison.
        **options: options of `evaluate`.

    Returns:
        The table as Markdown.

    Raises:
        DubfewError: The systems have no clip in common, or none can be measured.
    """
    names = [{path.stem for path in list_videos(folder)} for folder in systems.values()]
    common = set.intersection(*names)
    if not common:
        raise DubfewError("the systems have no clip in common: name their outputs alike")
    found = {
        name: evaluate_folder(references, folder, only=common, progress=progress, **options)
        for name, folder in systems.items()
    }
    # A clip that one system fails on would make the means of others of other clips.
    shared = set.intersection(*(set(result.clips) for result in found.values()))
    if not shared:
        raise DubfewError("no clip can be measured for all systems: see 'dubfew evaluate'")
    results = {
        name: summarize({clip: result.clips[clip] for clip in sorted(shared)}, result.failed)
        for name, result in found.items()
    }
    text = _document_systems(results, len(shared))
    write_atomic(out / "peers.md", text.encode())
    write_atomic(out / "peers.csv", _systems_to_csv(results).encode())
    return text


def _document_systems(results: Mapping[str, FolderResult], count: int) -> str:
    """Format one column per system."""
    # A measure whose weights are missing would be a row of dashes for every system.
    measures = [
        name
        for name in next(iter(results.values())).means
        if any(result.means.get(name) is not None for result in results.values())
    ]
    rows = []
    for measure in measures:
        cells = []
        for result in results.values():
            value, ends = result.means.get(measure), result.intervals.get(measure)
            span = "" if ends is None else f" ({ends[0]:.3g} to {ends[1]:.3g})"
            cells.append(None if value is None else f"{value:.4g}{span}")
        rows.append([measure, *cells])
    lines = [
        "# Systems on the same frames",
        ", ".join(f"{key} {value}" for key, value in machine().items()),
        f"Means over {count} clips, in brackets 95 % by a bootstrap over the clips.",
        markdown_table(["measure", *results], rows),
    ]
    failed = [
        f"failed: {name}: {clip}: {why}"
        for name, result in results.items()
        for clip, why in result.failed.items()
    ]
    return "\n\n".join([*lines, *failed]) + "\n"


def _systems_to_csv(results: Mapping[str, FolderResult]) -> str:
    """Format every clip of every system as a row of CSV."""
    buffer = io.StringIO()
    names = list(next(iter(results.values())).means)
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(["system", "clip", *names])
    for system, result in results.items():
        for clip, measured in result.clips.items():
            values = measured.to_json()
            writer.writerow([system, clip, *(values.get(name) for name in names)])
    return buffer.getvalue()
