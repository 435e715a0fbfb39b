"""Table of two versions of dubfew by turns: time, processor and memory, by face size and load.

    python -m benchmarks.speed_table CLIP --version old=CHECKOUT[,PYTHON] --version new=CHECKOUT
        [--faces 1 1.5 2] [--busy 0 1 4] [--repeat N] [--minutes M] [--out FOLDER]

Every run is a fresh process of the command line under its version's own defaults, in an own home.
The picture of the clip is made smaller or larger within a frame of unchanged size for other sizes
of the face. Version 795d153 finds no face of 146 px in a frame of 1080 x 1920, and one of 195. The
actor is learned from the clip's beginning, and what follows is rendered. Rounds go over all rows,
and versions alternate within a row, so that all meet the same machine. Every run is noted at once
in ``runs.jsonl``; the same command goes on where it was stopped, and writes the table of what is
there. A run that takes longer than ``--limit`` is stopped and counts with that.

POSIX alone: processor time of a child is what ``wait4`` says. So is its memory, but on Linux, where
that counts what the parent had when it began the child: there ``/proc`` is read while it runs.
"""

from __future__ import annotations

import argparse
import csv
import io
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import islice, product
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks.busy import VARIABLES, busy_processes
from benchmarks.common import RESULTS, ROOT, machine_line, markdown_table
from benchmarks.footage import looped, write_frames
from dubfew.media import Frame, probe
from dubfew.utils.files import write_atomic

# Level of the frame around a picture that was made smaller.
BORDER_LEVEL = 60
# Whole seconds of sound and picture in a round of 12 minutes.
DEFAULT_SECONDS = 4
HEAD = ("command", "face", "busy", "version", "runs", "wall s", "processor s", "MB", "PSNR dB")


@dataclass(frozen=True)
class Version:
    """A checkout and the interpreter that runs it."""

    name: str
    code: Path
    python: str


@dataclass(frozen=True)
class Run:
    """One measured run.

    Attributes:
        command: "adapt" or "render".
        face: factor by which the picture was made smaller.
        busy: processes that were busy beside.
        version: name of the version.
        round: number of the round, from 0.
        wall: s.
        processor: s, of all threads and children.
        megabytes: largest resident set.
        psnr: of held-out frames, dB, as ``adapt`` says it; None for renders.
        is_whole: whether it ended; otherwise the figures are lower bounds.
    """

    command: str
    face: float
    busy: int
    version: str
    round: int
    wall: float
    processor: float
    megabytes: float
    psnr: float | None = None
    is_whole: bool = True

    @property
    def place(self) -> tuple[str, float, int, str, int]:
        """Return what tells this run from all others."""
        return self.command, self.face, self.busy, self.version, self.round


def resize_picture(frame: Frame, factor: float) -> Frame:
    """Make a frame's picture smaller or larger in a frame of the same size.

    Args:
        frame: any frame.
        factor: 1 leaves the frame as it is. A smaller picture lies in the middle; of a larger one
            the upper middle is seen, where faces are.
    """
    if factor == 1:
        return frame
    rgb = frame.to_rgb()
    if factor > 1:
        height, width = (round(size / factor) for size in rgb.shape[:2])
        left, top = (rgb.shape[1] - width) // 2, (rgb.shape[0] - height) // 4
        part = Image.fromarray(rgb[top : top + height, left : left + width])
        large = part.resize((rgb.shape[1], rgb.shape[0]), Image.Resampling.LANCZOS)
        return Frame.from_rgb(np.asarray(large), pix_fmt="yuv420p")
    height, width = (round(size * factor) for size in rgb.shape[:2])
    picture = np.full_like(rgb, BORDER_LEVEL)
    top, left = (rgb.shape[0] - height) // 2, (rgb.shape[1] - width) // 2
    small = Image.fromarray(rgb).resize((width, height), Image.Resampling.LANCZOS)
    picture[top : top + height, left : left + width] = np.asarray(small)
    return Frame.from_rgb(picture, pix_fmt="yuv420p")


def run_measured(
    words: Sequence[object], environment: Mapping[str, str], limit: float
) -> tuple[float, float, float, bool, str]:
    """Run a command in a fresh process and measure it.

    Args:
        words: the program and its arguments.
        environment: the whole environment of the process.
        limit: seconds after which it is stopped.

    Returns:
        Wall seconds, processor seconds, megabytes, whether it ended by itself, and its output.

    Raises:
        RuntimeError: It failed.
    """
    with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as errors:
        began = time.monotonic()
        # A session of its own: what it starts is stopped with it.
        process = subprocess.Popen(
            [str(word) for word in words],
            env=dict(environment),
            cwd=tempfile.gettempdir(),
            stdout=output,
            stderr=errors,
            start_new_session=True,
        )
        is_whole = True
        peak = 0.0
        while True:
            pid, status, usage = os.wait4(process.pid, os.WNOHANG)
            if pid:
                break
            peak = max(peak, read_peak_memory(process.pid))
            if is_whole and time.monotonic() - began > limit:
                is_whole = False
                os.killpg(process.pid, signal.SIGKILL)
            time.sleep(0.02)
        wall = time.monotonic() - began
        process.returncode = os.waitstatus_to_exitcode(status)
        if is_whole and process.returncode:
            errors.seek(0)
            raise RuntimeError(errors.read().decode(errors="replace")[-2000:])
        output.seek(0)
        text = output.read().decode(errors="replace")
    # Without /proc: macOS counts bytes, others kilobytes.
    scale = 2**20 if sys.platform == "darwin" else 2**10
    megabytes = peak or usage.ru_maxrss / scale
    return wall, usage.ru_utime + usage.ru_stime, megabytes, is_whole, text


def read_peak_memory(pid: int) -> float:
    """Read the largest resident set so far of a process that runs, MB; 0 where ``/proc`` lacks it.

    Args:
        pid: number of the process.
    """
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0.0
    kilobytes = [line.split()[1] for line in status.splitlines() if line.startswith("VmHWM:")]
    return int(kilobytes[0]) / 2**10 if kilobytes else 0.0


def read_runs(path: Path) -> list[Run]:
    """Read the runs that were noted; a line that was cut off is left out."""
    runs = []
    for line in path.read_text().splitlines() if path.exists() else []:
        try:
            runs.append(Run(**json.loads(line)))
        except ValueError:
            continue
    return runs


def tabulate_runs(runs: Iterable[Run]) -> list[list[object]]:
    """Make rows of medians: see `HEAD`; lower bounds have a sign before them."""
    groups: dict[tuple[str, float, int, str], list[Run]] = {}
    for run in runs:
        groups.setdefault(run.place[:4], []).append(run)
    rows: list[list[object]] = []
    for place, group in sorted(groups.items(), key=lambda item: (item[0][0], -item[0][1], item[0])):
        sign = "" if all(run.is_whole for run in group) else "> "
        figures = [
            f"{sign}{statistics.median(getattr(run, name) for run in group):.{digits}f}"
            for name, digits in (("wall", 1), ("processor", 1), ("megabytes", 0))
        ]
        psnr = [run.psnr for run in group if run.psnr is not None]
        told = f"{statistics.median(psnr):.2f}" if psnr else ""
        command, face, busy, version = place
        rows.append([command, f"{face:g}", busy, version, len(group), *figures, told])
    return rows


def compare_versions(runs: Sequence[Run], names: Sequence[str]) -> list[list[object]]:
    """Make rows of what the last version takes as a fraction of the first one's, by medians."""
    medians: dict[tuple[str, float, int], dict[str, list[float]]] = {}
    for run in runs:
        medians.setdefault(run.place[:3], {}).setdefault(run.version, [])
    for place, versions in medians.items():
        for name in versions:
            group = [run for run in runs if run.place[:4] == (*place, name)]
            versions[name] = [
                statistics.median(getattr(run, figure) for run in group)
                for figure in ("wall", "processor", "megabytes")
            ]
    rows: list[list[object]] = []
    for place, versions in sorted(medians.items(), key=lambda item: (item[0][0], -item[0][1])):
        if names[0] in versions and names[-1] in versions:
            pairs = zip(versions[names[-1]], versions[names[0]], strict=True)
            command, face, busy = place
            rows.append([command, f"{face:g}", busy, *(f"{new / old:.2f}" for new, old in pairs)])
    return rows


def write_table(folder: Path, runs: Sequence[Run], names: Sequence[str], title: str) -> str:
    """Write ``speed_table.md`` and ``speed_table.csv``; returns the Markdown."""
    rows = tabulate_runs(runs)
    ratios = compare_versions(runs, names)
    ratio_head = ["command", "face", "busy", "wall", "processor", "MB"]
    text = "\n\n".join(
        [
            "# Two versions by turns",
            title,
            machine_line(),
            markdown_table(list(HEAD), rows),
            f"{names[-1]} as a fraction of {names[0]}:",
            markdown_table(ratio_head, ratios),
        ]
    )
    table = io.StringIO()
    csv.writer(table).writerows([HEAD, *rows])
    write_atomic(folder / "speed_table.md", (text + "\n").encode())
    write_atomic(folder / "speed_table.csv", table.getvalue().encode())
    return text


def parse_version(text: str) -> Version:
    """Parse NAME=CHECKOUT[,PYTHON]."""
    name, _, rest = text.partition("=")
    code, _, python = rest.partition(",")
    return Version(name, Path(code).resolve(), python or sys.executable)


class SpeedTable:
    """Prepares footage and actors once, then runs what is missing.

    Args:
        options: parsed arguments.
    """

    def __init__(self, options: argparse.Namespace) -> None:
        self._options = options
        self._versions: list[Version] = options.version
        self._folder = options.out
        self._log = options.out / "runs.jsonl"
        # Faces that a version cannot learn: their rows are left out.
        self._left_faces: set[float] = set()

    def fill(self) -> None:
        """Run what is missing, within the time that was given."""
        options = self._options
        self._prepare()
        end = time.monotonic() + 60 * options.minutes
        done = {run.place for run in read_runs(self._log)}
        faces = [face for face in options.faces if face not in self._left_faces]
        rows = list(product(options.busy, faces, options.commands))
        for number in range(options.repeat):
            for busy, face, command in rows:
                missing = [
                    version
                    for version in self._versions
                    if (command, face, busy, version.name, number) not in done
                ]
                if not missing:
                    continue
                with busy_processes(busy):
                    for version in missing:
                        if time.monotonic() > end:
                            return
                        self._note(self._measure(command, face, busy, version, number))

    def _environment(self, version: Version) -> dict[str, str]:
        """The environment of a version's processes: nothing of this one's that sets threads."""
        plain = {key: value for key, value in os.environ.items() if key not in VARIABLES}
        home = str(self._folder / f"home-{version.name}")
        return {**plain, "PYTHONPATH": str(version.code), "DUBFEW_HOME": home}

    def _words(self, command: str, face: float, version: Version) -> list[object]:
        """Words of a command."""
        start = [version.python, "-m", "dubfew", command]
        if command == "adapt":
            steps = [] if self._options.steps is None else ["--steps", self._options.steps]
            name = self._file("actor", face)
            return [*start, name, "--actor", "measured", *steps, "--json"]
        # Earlier versions overwrite nothing, later ones when asked: the file is not there.
        result = self._folder / f"out-{version.name}.mp4"
        result.unlink(missing_ok=True)
        out = ["-o", result, "--fit", "trim"]
        files = ["--video", self._file("scene", face), "--audio", self._options.audio]
        return [*start, "--actor", f"face-{face:g}", *files, *out]

    def _file(self, kind: str, face: float) -> Path:
        return Path(self._folder / f"{kind}-{face:g}.mp4")

    def _prepare(self) -> None:
        """Write footage and learn actors that are not there; compiles and caches on the way."""
        options = self._options
        self._folder.mkdir(parents=True, exist_ok=True)
        for face in options.faces:
            # The scene is what follows: render would not track the actor's own footage again.
            frames = looped(options.clip, 2 * options.seconds)
            half = round(options.seconds * probe(options.clip).fps)
            pieces = {"actor": islice(frames, half), "scene": islice(frames, half)}
            if not all(self._file(kind, face).exists() for kind in pieces):
                for kind, piece in pieces.items():
                    part = self._folder / f"part-{kind}.mp4"
                    shrunk = (resize_picture(frame, face) for frame in piece)
                    write_frames(part, options.clip, shrunk, lossless=False)
                    part.rename(self._file(kind, face))
            for version in self._versions:
                mark = self._folder / f"ready-{version.name}-{face:g}"
                if mark.exists():
                    continue
                start = [version.python, "-m", "dubfew", "adapt", self._file("actor", face)]
                actor = ["--actor", f"face-{face:g}", "--steps", "0"]
                # Nothing is measured here, so that threads need not waste time while they wait.
                environment = {**self._environment(version), "OMP_WAIT_POLICY": "PASSIVE"}
                try:
                    run_measured([*start, *actor], environment, float("inf"))
                    run_measured(self._words("render", face, version), environment, float("inf"))
                except RuntimeError as error:
                    told = str(error).strip().splitlines()
                    print(
                        f"face {face:g} is left out, {version.name}:", *told[-1:], file=sys.stderr
                    )
                    self._left_faces.add(face)
                    continue
                mark.touch()

    def _measure(self, command: str, face: float, busy: int, version: Version, number: int) -> Run:
        """Run a command once."""
        words = self._words(command, face, version)
        wall, processor, megabytes, is_whole, text = run_measured(
            words, self._environment(version), self._options.limit
        )
        psnr = None
        if command == "adapt" and is_whole:
            psnr = json.loads(text.strip().splitlines()[-1]).get("psnr_heldout")
        place = (command, face, busy, version.name, number)
        return Run(*place, wall, processor, megabytes, psnr, is_whole)

    def _note(self, run: Run) -> None:
        """Write a run into the log and to the terminal."""
        with open(self._log, "a") as file:
            file.write(json.dumps(asdict(run)) + "\n")
        print(
            run.command, f"face {run.face:g}, {run.busy} busy, {run.version}, round {run.round}:",
            f"{run.wall:.1f} s, {run.processor:.1f} processor s, {run.megabytes:.0f} MB",
            "" if run.is_whole else "(stopped)", file=sys.stderr, flush=True,
        )  # fmt: skip


def main(arguments: list[str] | None = None) -> int:
    """Run the benchmark; returns the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("clip", type=Path, help="a talking person with a large face")
    parser.add_argument(
        "--version",
        type=parse_version,
        action="append",
        metavar="NAME=CHECKOUT[,PYTHON]",
        help="twice: the first is what others are compared with",
    )
    parser.add_argument("--audio", type=Path, required=True, help="speech to render")
    parser.add_argument("--seconds", type=int, default=DEFAULT_SECONDS, help="of the clip")
    parser.add_argument("--faces", type=float, nargs="+", default=[1.0, 1.5, 2.0])
    parser.add_argument("--busy", type=int, nargs="+", default=[0, 1, 4])
    parser.add_argument("--commands", nargs="+", choices=("adapt", "render"), default=["render"])
    parser.add_argument("--steps", type=int, help="of adapt; default: each version's own")
    parser.add_argument("--repeat", type=int, default=5, help="rounds")
    parser.add_argument("--minutes", type=float, default=float("inf"), help="no run begins later")
    parser.add_argument("--limit", type=float, default=300, help="s after which a run is stopped")
    parser.add_argument("--out", type=Path, default=RESULTS / "speed_table")
    options = parser.parse_args(arguments)
    options.version = options.version or [parse_version(f"this={ROOT}")]
    options.clip, options.audio = options.clip.resolve(), options.audio.resolve()
    options.out = options.out.resolve()
    table = SpeedTable(options)
    try:
        table.fill()
    finally:
        runs = read_runs(options.out / "runs.jsonl")
        names = [version.name for version in options.version]
        title = f"{options.clip.name}, {options.seconds} s. Medians; `>`: stopped, at least that."
        print(write_table(options.out, runs, names, title))
    return 0


if __name__ == "__main__":
    sys.exit(main())
