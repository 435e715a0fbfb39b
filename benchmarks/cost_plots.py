"""Cost of ``render`` against length, face size, frame size and people, as plots.

    python -m benchmarks.cost_plots CLIP --audio FILE --face-width PX [--lengths 2 10 60]
        [--faces 0.3 1 5] [--widths 480 1080 2160] [--people 1 2 3] [--minutes M] [--out FOLDER]
        [--plot FILE.svg]

Every run is a fresh process of the command line. Lengths loop the clip; other sizes of the face are
the picture made smaller or larger within a frame of unchanged size, or of twice the size where a
face is enlarged more than three times; several people are smaller copies of it side by side; other
frame sizes are the picture made smaller or larger. The actor is learned from the clip without
steps, and one mouth is rendered. Every run is noted at once in ``costs.jsonl``; the same command
goes on where it was stopped, and draws what is there. Processor time of a frame is the slope: that
of the whole process less that of a render of one frame, so that the start does not count.

POSIX alone, as `benchmarks.speed_table`.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import chain, islice
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks.busy import VARIABLES
from benchmarks.common import RESULTS, ROOT, machine_line, markdown_table, save_figure
from benchmarks.footage import looped, write_frames
from benchmarks.speed_table import BORDER_LEVEL, resize_picture, run_measured
from dubfew.media import Frame, VideoInfo, VideoWriter, probe
from dubfew.utils.files import write_atomic

# Seconds of the scene where its length is not what is changed.
DEFAULT_SECONDS = 2
# Seconds of the clip that the actor is learned from.
ACTOR_SECONDS = 2
# Factor from which an enlarged face does not fit into the clip's frame any more.
LARGE_FACE = 3
# Longest run, s.
LIMIT_SECONDS = 3600.0
SERIES = {
    "length": ("length of the scene, s", "log"),
    "face": ("width of the face, px", "linear"),
    "width": ("width of the frame, px", "linear"),
    "people": ("people in the frame", "linear"),
}


@dataclass(frozen=True)
class Cost:
    """One measured render.

    Attributes:
        series: key of `SERIES`, or "start" for one of a single frame.
        value: what was changed, as on the command line.
        place: place on the horizontal axis of the plot.
        frames: number of frames of the scene.
        processor: s, of all threads.
        megabytes: largest resident set.
        load: load of the machine when the run began.
    """

    series: str
    value: float
    place: float
    frames: int
    processor: float
    megabytes: float
    load: float


def tile_picture(frame: Frame, people: int, factor: float) -> Frame:
    """Show a frame's picture several times side by side, smaller, in a frame of the same size.

    Args:
        frame: any frame.
        people: number of copies.
        factor: size of each copy, as a fraction of the frame; together they fit into its width.
    """
    if people == 1 and factor == 1:
        return frame
    rgb = frame.to_rgb()
    picture = np.full_like(rgb, BORDER_LEVEL)
    height, width = (round(size * factor) for size in rgb.shape[:2])
    small = np.asarray(Image.fromarray(rgb).resize((width, height), Image.Resampling.LANCZOS))
    top = (rgb.shape[0] - height) // 2
    for number in range(people):
        left = round((number + 0.5) * rgb.shape[1] / people - width / 2)
        picture[top : top + height, left : left + width] = small
    return Frame.from_rgb(picture, pix_fmt="yuv420p")


def scale_frame(frame: Frame, width: int) -> Frame:
    """Make a frame larger or smaller; both sides are even.

    Args:
        frame: any frame.
        width: px.
    """
    rgb = frame.to_rgb()
    height = 2 * round(rgb.shape[0] * width / rgb.shape[1] / 2)
    scaled = Image.fromarray(rgb).resize((width, height), Image.Resampling.LANCZOS)
    return Frame.from_rgb(np.asarray(scaled), pix_fmt="yuv420p")


def resize_face(frame: Frame, factor: float) -> Frame:
    """Make a face smaller or larger, in a frame of twice the size where it would not fit.

    Args:
        frame: any frame.
        factor: size of the face as a fraction of what it was.
    """
    if factor <= LARGE_FACE:
        return resize_picture(frame, factor)
    return scale_frame(resize_picture(frame, factor / 2), 2 * frame.width)


def write_numbered(path: Path, frames: Iterable[Frame], info: VideoInfo) -> None:
    """Write frames one after another, without sound, in whatever size they have.

    Args:
        path: file to write.
        frames: frames of one size, at least one; their own times are ignored.
        info: other properties of the video, such as its rate.
    """
    frames = iter(frames)
    first = next(frames)
    sized = replace(info, width=first.width, height=first.height)
    with VideoWriter(path, sized) as writer:
        for index, frame in enumerate(chain([first], frames)):
            writer.write(frame.with_time(index, index / info.fps))


def milliseconds_per_frame(cost: Cost, start: float) -> float:
    """Compute the processor time of a frame, ms, without the start of the process.

    Args:
        cost: a render.
        start: processor seconds of a render of one frame.
    """
    return 1000 * (cost.processor - start) / max(1, cost.frames - 1)


def tabulate_costs(costs: Sequence[Cost]) -> list[list[object]]:
    """Make a row for each render: series, place, frames, ms a frame, MB, load."""
    start = find_start(costs)
    return [
        [
            SERIES[cost.series][0],
            f"{cost.place:g}",
            cost.frames,
            f"{milliseconds_per_frame(cost, start):.0f}",
            f"{cost.megabytes:.0f}",
            f"{cost.load:.1f}",
        ]
        for name in SERIES
        for cost in sorted(costs, key=lambda each: each.place)
        if cost.series == name
    ]


def find_start(costs: Iterable[Cost]) -> float:
    """Find the processor seconds of a render of one frame; 0 if none was measured."""
    return next((cost.processor for cost in costs if cost.series == "start"), 0.0)


def draw_costs(path: Path, costs: Sequence[Cost]) -> None:
    """Draw ms a frame and MB against each series, and write the picture.

    Args:
        path: SVG or PNG file.
        costs: the renders.
    """
    from matplotlib.figure import Figure

    start = find_start(costs)
    shown = [name for name in SERIES if any(cost.series == name for cost in costs)]
    figure = Figure(figsize=(2.6 * max(1, len(shown)), 4.6), layout="constrained")
    for column, name in enumerate(shown):
        rows = sorted((c for c in costs if c.series == name), key=lambda cost: cost.place)
        label, scale = SERIES[name]
        places = [cost.place for cost in rows]
        for row, (values, unit) in enumerate(
            (
                ([milliseconds_per_frame(cost, start) for cost in rows], "processor ms a frame"),
                ([cost.megabytes for cost in rows], "largest memory, MB"),
            )
        ):
            axes = figure.add_subplot(2, len(shown), row * len(shown) + column + 1)
            axes.plot(places, values, "o-", color="#1f5f8b", linewidth=1.2, markersize=3.5)
            axes.set_ylim(0, 1.15 * max(values))
            axes.set_xscale(scale)
            axes.set_xticks(places, [f"{place:g}" for place in places], fontsize=7)
            axes.minorticks_off()
            axes.tick_params(axis="y", labelsize=7)
            axes.grid(alpha=0.3)
            if column == 0:
                axes.set_ylabel(unit, fontsize=8)
            if row == 1:
                axes.set_xlabel(label, fontsize=8)
    save_figure(figure, path)


class CostRuns:
    """Prepares footage and the actor once, then runs what is missing.

    Args:
        options: parsed arguments.
    """

    def __init__(self, options: argparse.Namespace) -> None:
        self._options = options
        self._folder: Path = options.out
        self._log = self._folder / "costs.jsonl"
        plain = {key: value for key, value in os.environ.items() if key not in VARIABLES}
        home = str(self._folder / "home")
        self._environment = {**plain, "PYTHONPATH": str(ROOT), "DUBFEW_HOME": home}

    def read(self) -> list[Cost]:
        """Read the runs that were noted; a line that was cut off is left out."""
        costs = []
        for line in self._log.read_text().splitlines() if self._log.exists() else []:
            try:
                costs.append(Cost(**json.loads(line)))
            except ValueError:
                continue
        return costs

    def fill(self) -> None:
        """Run what is missing, within the time that was given."""
        self._folder.mkdir(parents=True, exist_ok=True)
        end = time.monotonic() + 60 * self._options.minutes
        actor = self._folder / "actor.mp4"
        if not (self._folder / "ready").exists():
            seconds = looped(self._options.clip, ACTOR_SECONDS)
            write_frames(actor, self._options.clip, seconds, lossless=False)
            self._run("adapt", actor, "--actor", "measured", "--steps", "0")
            # A first render compiles and fills caches.
            self._render(self._write_scene("start", 1))
            (self._folder / "ready").touch()
        done = {(cost.series, cost.value) for cost in self.read()}
        for series, value in self._list_runs():
            if (series, value) in done:
                continue
            if time.monotonic() > end:
                return
            scene = self._write_scene(series, value)
            load = os.getloadavg()[0]
            processor, megabytes = self._render(scene)
            place = self._place(series, value)
            cost = Cost(series, value, place, probe(scene).frames or 1, processor, megabytes, load)
            with open(self._log, "a") as file:
                file.write(json.dumps(asdict(cost)) + "\n")
            print(cost, file=sys.stderr, flush=True)
            scene.unlink()

    def _list_runs(self) -> Iterator[tuple[str, float]]:
        options = self._options
        yield "start", 1
        yield from (("length", value) for value in options.lengths)
        yield from (("face", value) for value in options.faces)
        yield from (("width", value) for value in options.widths)
        yield from (("people", value) for value in options.people)

    def _place(self, series: str, value: float) -> float:
        """Return where a run stands on its plot: faces by their width in px."""
        return round(value * self._options.face_width) if series == "face" else value

    def _write_scene(self, series: str, value: float) -> Path:
        """Write the scene of a run."""
        clip, path = self._options.clip, self._folder / f"{series}-{value:g}.mp4"
        seconds = int(value) if series == "length" else DEFAULT_SECONDS
        # What follows the actor's seconds: a render does not track the actor's own footage again.
        skipped = round(ACTOR_SECONDS * probe(clip).fps)
        frames: Iterable[Frame] = islice(looped(clip, ACTOR_SECONDS + seconds), skipped, None)
        if series == "start":
            frames = islice(frames, 1)
        if series == "face":
            frames = (resize_face(frame, value) for frame in frames)
        if series == "people":
            people = int(value)
            frames = (tile_picture(frame, people, 1 / people) for frame in frames)
        if series == "width":
            frames = (scale_frame(frame, int(value)) for frame in frames)
        write_numbered(path, frames, probe(clip))
        return path

    def _render(self, scene: Path) -> tuple[float, float]:
        """Render a scene; returns processor seconds and megabytes."""
        out = self._folder / "out.mp4"
        out.unlink(missing_ok=True)
        files = ["--video", scene, "--audio", self._options.audio, "-o", out, "--fit", "trim"]
        return self._run("render", "--actor", "measured", *files)

    def _run(self, *words: object) -> tuple[float, float]:
        """Run a command; returns processor seconds and megabytes."""
        command = [sys.executable, "-m", "dubfew", *words]
        _, processor, megabytes, _, _ = run_measured(command, self._environment, LIMIT_SECONDS)
        return processor, megabytes


def main(arguments: list[str] | None = None) -> int:
    """Run the benchmark; returns the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("clip", type=Path, help="a talking person with a large face")
    parser.add_argument("--audio", type=Path, required=True, help="speech to render")
    parser.add_argument("--face-width", type=float, required=True, help="of the clip's face, px")
    parser.add_argument("--lengths", type=float, nargs="*", default=[2, 10, 60], help="s")
    parser.add_argument("--faces", type=float, nargs="*", default=[0.3, 0.5, 1, 2, 3, 5.2])
    parser.add_argument("--widths", type=float, nargs="*", default=[480, 720, 1080, 2160])
    parser.add_argument("--people", type=float, nargs="*", default=[1, 2, 3])
    parser.add_argument("--minutes", type=float, default=float("inf"), help="no run begins later")
    parser.add_argument("--out", type=Path, default=RESULTS / "cost_plots")
    parser.add_argument("--plot", type=Path, help="default: costs.svg in the folder")
    options = parser.parse_args(arguments)
    options.clip, options.audio = options.clip.resolve(), options.audio.resolve()
    options.out = options.out.resolve()
    runs = CostRuns(options)
    try:
        runs.fill()
    finally:
        costs = runs.read()
        if costs:
            draw_costs(options.plot or options.out / "costs.svg", costs)
        head = ["changed", "to", "frames", "processor ms a frame", "MB", "load"]
        text = "\n\n".join([machine_line(), markdown_table(head, tabulate_costs(costs))])
        write_atomic(options.out / "costs.md", (text + "\n").encode())
        print(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
