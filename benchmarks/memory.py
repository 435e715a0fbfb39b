"""Peak memory on clips of 10 s and 60 s: it must not grow with their length.

    python -m benchmarks.memory [CLIP] [--lengths 10 60] [--command render|evaluate]

``render`` renders a clip with its own motion, ``evaluate`` compares it with a copy of itself.

Each length is rendered in a fresh process, because the operating system reports the peak of a whole
process.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import dubfew
from benchmarks.common import (
    ROOT,
    clip_parser,
    machine,
    machine_line,
    markdown_table,
    show,
    write_results,
)
from benchmarks.footage import looped, write_frames
from dubfew.registry import Registry

# Largest ratio of the peaks of the longest and the shortest clip that passes. Allocators and caches
# make some percent of difference; a leak of one frame per frame would make far more.
ALLOWED_GROWTH = 1.10

# Code that the fresh process runs. ru_maxrss is in kB on Linux, in bytes on macOS.
CHILD = """
import json, resource, sys, time
import dubfew
command, home, video, out = sys.argv[1:]
start = time.monotonic()
if command == "render":
    actor, registry = "memory", dubfew.Registry(home)
    result = dubfew.render(actor, video=video, drive="self", out=out, registry=registry)
else:
    result = dubfew.evaluate(video, out)
seconds = time.monotonic() - start
unit = 1 if sys.platform == "darwin" else 1024
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**20
print(json.dumps({"frames": result.frames, "peak_mb": peak, "seconds": seconds}))
"""


def run_fresh(code: str, *arguments: str) -> dict[str, float]:
    """Run Python code in a new process.

    Args:
        code: program whose last line of output is a JSON object.
        *arguments: its arguments.

    Returns:
        That object.
    """
    paths = [str(ROOT), os.environ.get("PYTHONPATH", "")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))}
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        env=environment,
        stdout=subprocess.PIPE,
        check=True,
        text=True,
    )
    return dict(json.loads(done.stdout.strip().splitlines()[-1]))


def main(arguments: list[str] | None = None) -> int:
    """Run the benchmark; returns the exit code, 1 if memory grows too much."""
    parser = clip_parser(__doc__, "a talking person, repeated to the lengths")
    parser.add_argument("--lengths", type=int, nargs="+", default=[10, 60], help="seconds")
    parser.add_argument("--command", choices=["render", "evaluate"], default="render")
    options = parser.parse_args(arguments)
    runs = {}
    with tempfile.TemporaryDirectory(prefix="dubfew-memory-") as name:
        folder = Path(name)
        home = folder / "home"
        if options.command == "render":
            dubfew.adapt(
                options.clip,
                actor="memory",
                prior=options.prior,
                steps=0,
                registry=Registry(home),
                progress=show,
            )
        for length in options.lengths:
            clip, out = folder / f"{length}.mp4", folder / f"{length}-out.mp4"
            write_frames(clip, options.clip, looped(options.clip, length), lossless=False)
            if options.command == "evaluate":
                shutil.copy(clip, out)
            runs[length] = run_fresh(CHILD, options.command, str(home), str(clip), str(out))
    # The lengths are in the order of the command line, the shortest first.
    peaks = [run["peak_mb"] for run in runs.values()]
    growth = peaks[-1] / peaks[0]
    rows = [[f"{s} s", int(r["frames"]), r["peak_mb"], r["seconds"]] for s, r in runs.items()]
    text = "\n\n".join(
        [
            f"# Memory of {options.command}",
            machine_line(),
            markdown_table(["clip", "frames", "peak RSS, MB", "s"], rows),
            f"Longest over shortest: {growth:.3f} (allowed {ALLOWED_GROWTH:.2f}).",
        ]
    )
    data = {"machine": machine(), "clip": options.clip.name, "runs": runs, "growth": growth}
    write_results(options.out, f"memory_{options.command}", text + "\n", data)
    print(text)
    return 0 if growth <= ALLOWED_GROWTH else 1


if __name__ == "__main__":
    sys.exit(main())
