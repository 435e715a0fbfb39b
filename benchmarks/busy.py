"""How long ``adapt`` and ``render`` take beside other busy processes, under several environments.

    python -m benchmarks.busy CLIP [--busy 0 4 6] [--repeat N]
        [--environment NAME=VARIABLE:VALUE,...]

Every run is a fresh process of the command line. Runs of the environments alternate, so that they
meet the same machine. Processor seconds count the run alone, not the busy processes beside it.

The variable CODE of an environment names another checkout of dubfew, to compare two versions.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from benchmarks.common import ROOT, machine, machine_line, markdown_table, write_results
from benchmarks.footage import looped, write_frames

# Program of a busy process: it computes with one thread for as long as the benchmark runs, also if
# that is killed.
BUSY = "import os; parent = os.getppid()\nwhile os.getppid() == parent: sum(range(1000))"
# Variables that decide how OpenMP's threads wait; each environment sets all of them anew.
VARIABLES = ("OMP_NUM_THREADS", "OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME")


@contextmanager
def busy_processes(count: int) -> Iterator[None]:
    """Keep processes busy for as long as the block runs.

    Args:
        count: number of processes.
    """
    running = [subprocess.Popen([sys.executable, "-c", BUSY]) for _ in range(count)]
    try:
        yield
    finally:
        for process in running:
            process.kill()
            process.wait()


def run_timed(words: Sequence[object], environment: dict[str, str]) -> tuple[float, float]:
    """Run a command of dubfew in a fresh process.

    Args:
        words: words after ``dubfew``.
        environment: the whole environment of the process.

    Returns:
        Wall seconds and processor seconds, the start of Python included.
    """
    began, before = time.monotonic(), os.times()
    done = subprocess.run(
        [sys.executable, "-m", "dubfew", *map(str, words)],
        env=environment,
        cwd=tempfile.gettempdir(),
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise RuntimeError(done.stderr)
    after = os.times()
    spent = after.children_user + after.children_system
    return time.monotonic() - began, spent - before.children_user - before.children_system


def parse_environment(text: str) -> tuple[str, dict[str, str], str]:
    """Parse NAME=VARIABLE:VALUE,...; the variable CODE names a checkout of dubfew.

    Args:
        text: such as ``passive=OMP_WAIT_POLICY:PASSIVE,GOMP_SPINCOUNT:0``.

    Returns:
        Name, variables, and the folder of the code.
    """
    name, _, rest = text.partition("=")
    variables = dict(pair.split(":", 1) for pair in rest.split(",") if pair)
    return name, variables, variables.pop("CODE", str(ROOT))


def main(arguments: list[str] | None = None) -> int:
    """Run the benchmark; returns the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("clip", type=Path)
    parser.add_argument("--audio", type=Path, help="speech to render; default: the clip's own")
    parser.add_argument("--seconds", type=float, default=3, help="length of the piece that is used")
    parser.add_argument("--busy", type=int, nargs="+", default=[0, 4, 6])
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--repeat", type=int, default=1)
    parser.add_argument("--only", choices=("adapt", "render"))
    parser.add_argument("--environment", action="append", help="NAME=VARIABLE:VALUE,...")
    parser.add_argument("--out", type=Path, help="folder of the results")
    options = parser.parse_args(arguments)
    environments = [parse_environment(text) for text in options.environment or ["default"]]
    rows, data = [], []
    with tempfile.TemporaryDirectory(prefix="dubfew-busy-") as name:
        folder = Path(name)
        piece, scene = folder / "actor.mp4", folder / "scene.mp4"
        for file in (piece, scene):  # render would not track the actor's own footage again
            write_frames(file, options.clip, looped(options.clip, options.seconds), lossless=False)
        audio = options.audio or options.clip
        plain = {key: value for key, value in os.environ.items() if key not in VARIABLES}
        full = [
            (label, {**plain, "PYTHONPATH": code, **more, "DUBFEW_HOME": str(folder / "home")})
            for label, more, code in environments
        ]
        out = ["--overwrite", "-o", folder / "out.mp4"]
        commands = {
            "adapt": ["adapt", piece, "--actor", "busy", "--steps", options.steps],
            "render": ["render", "busy", "--video", scene, "--audio", audio, *out],
        }
        # Once for each code: compiled kernels are cached from here on.
        for environment in {each["PYTHONPATH"]: each for _, each in full}.values():
            run_timed(["adapt", piece, "--actor", "busy", "--steps", 0], environment)
            run_timed(commands["render"], environment)
        for count in options.busy:
            for command, words in commands.items():
                if options.only not in (None, command):
                    continue
                measured: dict[str, list[tuple[float, float]]] = {label: [] for label, _ in full}
                with busy_processes(count):
                    for _ in range(options.repeat):
                        for label, environment in full:
                            measured[label].append(run_timed(words, environment))
                for label, runs in measured.items():
                    wall, spent = (statistics.median(column) for column in zip(*runs, strict=True))
                    rows.append([command, count, label, wall, spent])
                    data.append(
                        {"command": command, "busy": count, "environment": label, "runs": runs}
                    )
                    print(*rows[-1], flush=True)
    head = ["command", "busy beside", "environment", "s", "processor s"]
    text = "\n\n".join(["# Beside busy processes", machine_line(), markdown_table(head, rows)])
    if options.out:
        write_results(options.out, "busy", text + "\n", {"machine": machine(), "runs": data})
    print(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
