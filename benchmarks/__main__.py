"""Make docs/benchmarks.md anew: run the benchmarks whose results are of another version, and write.

    python -m benchmarks --footage CLIPS [--sounds FOLDER] [--only NAME ...] [--minutes N]
        [--since DAY] [--work FOLDER]
    python -m benchmarks --page-only

Each finished benchmark leaves one file in ``benchmarks/results``, so that an interrupted run goes
on, and a page can be made of results of several versions; the page names the version of each.
While commits go on, ``--since`` takes the results of the last days for those of this version.
"""

from __future__ import annotations

import argparse
import resource
import shlex
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from benchmarks.common import FOOTAGE, ROOT, machine
from benchmarks.results_page import (
    PAGE,
    RESULTS_FOLDER,
    TEMPLATE,
    BenchmarkResult,
    parse_tables,
    read_result,
    render_page,
    write_result,
)
from dubfew.utils.files import write_atomic


@dataclass(frozen=True)
class PlannedBenchmark:
    """One benchmark of the page.

    Attributes:
        arguments: module and arguments. ``{footage}`` and ``{sounds}`` are the folders; the results
            folder is added.
        file: name of the file that the benchmark writes, without suffix; without such a file, what
            it prints counts.
        shares_folder: whether it keeps tracked clips and finished runs where the others that share
            the folder find them.
    """

    arguments: str
    file: str
    shares_folder: bool = False


_SHORT_CLIP = "grid_bbaf2n.mpg"
# The benchmarks of the page, by the name of their result. Together they take about half an hour of
# processor time: few clips, and less training than the product makes, which the page says. What
# renders comes last, so that an interrupted run has it from the newest version.
PLAN = {
    "track_speed": PlannedBenchmark("track --footage {footage} --only speed", "track"),
    "track": PlannedBenchmark(
        "track --footage {footage} --split validate test --only people,clips", "track"
    ),
    "visibility": PlannedBenchmark(
        "visibility --footage {footage} --split validate test --drawn", "visibility"
    ),
    "photometric": PlannedBenchmark(
        "photometric {footage}/grid_bbaf2n.mpg {footage}/hdtf_RD_Radio18.mp4 "
        "--people 2 --frames 25",
        "photometric",
    ),
    "methods": PlannedBenchmark(
        f"methods --footage {{footage}} --clips {_SHORT_CLIP} --steps 20 --tests 12",
        "methods",
        shares_folder=True,
    ),
    "ablations": PlannedBenchmark(
        f"ablations --footage {{footage}} --clips {_SHORT_CLIP} vr_1.mp4 --trained 0 --tests 12 "
        "--only prior,mixed,random,first,one,two,mesh,alignment,light,texture,detail",
        "ablations",
        shares_folder=True,
    ),
    "steps": PlannedBenchmark(
        f"steps --footage {{footage}} --clips {_SHORT_CLIP} --steps 50 --baseline-steps 50 "
        "--tests 12",
        "steps",
        shares_folder=True,
    ),
    "adapt_curve": PlannedBenchmark(
        f"adapt_curve --footage {{footage}} --clips {_SHORT_CLIP} --steps 50 --tests 12",
        "adapt_curve",
        shares_folder=True,
    ),
    "footage_length": PlannedBenchmark(
        "footage_length --footage {footage} --clips hdtf_RD_Radio13.mp4 --steps 10 --tests 12",
        "footage_length",
        shares_folder=True,
    ),
    "programme": PlannedBenchmark(
        "programme {footage} --sounds {sounds} --height 360 --minutes 10 --shot-seconds 1.6,2.4 "
        "--only dub,check",
        "programme",
    ),
    "memory_evaluate": PlannedBenchmark(
        "memory {footage}/hdtf_RD_Radio13.mp4 --command evaluate --lengths 10 30",
        "memory_evaluate",
    ),
    "known_faults": PlannedBenchmark(
        "known_faults {footage}/grid_s8_bbae5n.mp4 --other {footage}/grid_bbaf2n.mpg --listen",
        "known_faults",
    ),
    "known_faults_second": PlannedBenchmark(
        "known_faults {footage}/hdtf_RD_Radio13.mp4 --other {footage}/hdtf_RD_Radio18.mp4 --listen",
        "known_faults",
    ),
    "known_faults_synthetic": PlannedBenchmark(
        "known_faults --other {footage}/grid_bbaf2n.mpg --listen", "known_faults"
    ),
    "reenact": PlannedBenchmark(
        "reenact {footage}/grid_bbaf2n.mpg {footage}/vr_1.mp4 --steps 25", "reenact"
    ),
    "scene_light": PlannedBenchmark(
        "scene_light {footage}/hdtf_RD_Radio18.mp4 {footage}/vr_1.mp4 --frames 6", "scene_light"
    ),
    "adapt_cost": PlannedBenchmark(
        "adapt_cost {footage}/lp_d20.mp4 --lengths 4 30 --steps 10", "adapt_cost"
    ),
    "memory_render": PlannedBenchmark(
        "memory {footage}/ls_demo3.mp4 --lengths 5 25", "memory_render"
    ),
    "speed": PlannedBenchmark(
        "speed {footage}/ls_demo3.mp4 --drive audio --audio {sounds}/german1.wav --seconds 10",
        "speed",
    ),
}


def describe_version() -> str:
    """Return the last commit that changed the code, with a plus where files differ from it.

    Commits of results and pages measure nothing anew.
    """
    code = ("dubfew", "benchmarks/*.py")

    def git(*words: str) -> str:
        done = subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True, check=True)
        return done.stdout.strip()

    changed = git("status", "--porcelain", "--", *code)
    return git("log", "-1", "--format=%h", "--abbrev=7", "--", *code) + ("+" if changed else "")


def run_benchmark(
    planned: PlannedBenchmark, version: str, folders: dict[str, Path], work: Path
) -> BenchmarkResult:
    """Run one benchmark in a process of its own, and read its tables.

    Args:
        planned: the benchmark.
        version: version of the checkout.
        folders: folders by the name that the plan has for them.
        work: folder that some benchmarks share.

    Raises:
        subprocess.CalledProcessError: It failed, and wrote no tables.
    """
    module, *words = shlex.split(planned.arguments)
    typed = " ".join(["python -m", f"benchmarks.{module}", *words])
    for name, word in (("footage", "CLIPS"), ("sounds", "SOUNDS")):
        typed = typed.replace(f"{{{name}}}", word)
    with tempfile.TemporaryDirectory(prefix="dubfew-benchmarks-") as place:
        out = work if planned.shares_folder else Path(place)
        arguments = [word.format(**folders) for word in words]
        command = [sys.executable, "-m", f"benchmarks.{module}", *arguments, "--out", str(out)]
        started, spent = machine(), _child_seconds()
        done = subprocess.run(command, cwd=ROOT, check=False, stdout=subprocess.PIPE, text=True)
        print(done.stdout)
        spent = _child_seconds() - spent
        written = out / f"{planned.file}.md"
        # A benchmark whose aim is missed ends with 1, and has results all the same.
        text = written.read_text("utf-8") if written.exists() else done.stdout
    tables = parse_tables(text)
    if not tables:
        raise subprocess.CalledProcessError(done.returncode, command)
    facts = {name.replace("_1min", ""): str(value) for name, value in started.items()}
    kept = {name: facts[name] for name in ("processor", "cores", "load", "python", "torch")}
    kept["processor minutes"] = f"{spent / 60:.1f}"
    return BenchmarkResult(typed, version, time.strftime("%Y-%m-%d"), kept, tables)


def _child_seconds() -> float:
    """Processor time of all processes that have ended below this one, s."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def main(arguments: list[str] | None = None) -> int:
    """Run what is of another version, and write the page; return 1 if a benchmark failed."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("--footage", type=Path, default=FOOTAGE, help=f"default {FOOTAGE}")
    parser.add_argument("--sounds", type=Path, help="default: 'audio' beside the footage")
    parser.add_argument(
        "--only", nargs="+", choices=sorted(PLAN), metavar="NAME", help=", ".join(PLAN)
    )
    parser.add_argument("--again", action="store_true", help="also what is of this version")
    parser.add_argument(
        "--since",
        metavar="DAY",
        help="take results of this day (as in 2026-11-29) and later for those of this version",
    )
    parser.add_argument(
        "--work",
        type=Path,
        help="folder of tracked clips and finished trainings, to go on with; default: a new one",
    )
    parser.add_argument("--minutes", type=float, help="begin nothing after so many minutes")
    parser.add_argument("--page-only", action="store_true", help="run nothing, write the page")
    parser.add_argument(
        "--check",
        action="store_true",
        help="run nothing, exit with 1 if the page is not up to date",
    )
    options = parser.parse_args(arguments)
    if options.check:
        return int(PAGE.read_text("utf-8") != render_page(TEMPLATE.read_text("utf-8")))
    failed = []
    if not options.page_only:
        if not options.footage.is_dir():
            parser.error(f"no folder {options.footage}: give --footage CLIPS, or --page-only")
        folders = {
            "footage": options.footage,
            "sounds": options.sounds or options.footage.parent / "audio",
        }
        with tempfile.TemporaryDirectory(prefix="dubfew-benchmarks-") as place:
            failed = _run_all(options, folders, options.work or Path(place))
    write_atomic(PAGE, render_page(TEMPLATE.read_text("utf-8")).encode())
    print(f"Done: {PAGE.relative_to(ROOT)}" + (f"; failed: {', '.join(failed)}" if failed else ""))
    return 1 if failed else 0


def _run_all(options: argparse.Namespace, folders: dict[str, Path], work: Path) -> list[str]:
    """Run the benchmarks one after the other, and return the names of those that failed."""
    version, started = describe_version(), time.monotonic()
    failed = []
    for name in options.only or PLAN:
        known = read_result(name, RESULTS_FOLDER)
        if known is not None and not options.again:
            # Days compare as text.
            is_recent = options.since is not None and known.day >= options.since
            if known.version == version or is_recent:
                print(f"{name}: is of version {known.version}, {known.day}", file=sys.stderr)
                continue
        if options.minutes is not None and time.monotonic() - started > 60 * options.minutes:
            print(f"{name}: no time left", file=sys.stderr)
            continue
        print(f"{name} ...", file=sys.stderr)
        try:
            write_result(name, run_benchmark(PLAN[name], version, folders, work))
        except subprocess.CalledProcessError as error:
            print(f"{name}: {error}", file=sys.stderr)
            failed.append(name)
    return failed


if __name__ == "__main__":
    sys.exit(main())
