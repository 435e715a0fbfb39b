"""Memory and time of ``dubfew adapt`` for 4 s, 30 s and 5 min of footage.

    python -m benchmarks.adapt_cost [CLIP] [--lengths 4 30 300] [--seconds S] [--quick]

Product level: each run is a whole ``dubfew adapt`` (decode, track, align, train, store) in a fresh
process, whose peak RSS the operating system reports. The clip is looped to each length. ``dubfew``
chooses the best part of footage that is longer than it needs; this is measured beside taking the
beginning (``--start 0``), which needs no scan.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path

from benchmarks.common import (
    clip_parser,
    machine,
    machine_line,
    markdown_table,
    write_results,
)
from benchmarks.footage import looped, write_frames
from benchmarks.memory import run_fresh
from dubfew.adapt.options import DEFAULT_FOOTAGE_SECONDS

# Lengths of footage, s: less than is used, a little more, and much more.
FOOTAGE_LENGTHS = (4, 30, 300)
# Training steps with ``--quick``.
QUICK_STEPS = 5

# Program of the fresh process. ru_maxrss is in kB on Linux and in bytes on macOS.
CHILD_PROGRAM = """
import json, resource, sys
import dubfew
home, video, options = (json.loads(value) for value in sys.argv[1:])
result = dubfew.adapt(video, actor="cost", registry=dubfew.Registry(home), **options)
unit = 1 if sys.platform == "darwin" else 1024
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**20
figures = {"frames": result.frames, "steps": result.steps, "bytes": result.bytes, "peak_mb": peak}
print(json.dumps({**figures, **{f"{stage}_s": s for stage, s in result.seconds.items()}}))
"""


def format_cost_table(runs: list[dict[str, float | str | None]]) -> str:
    """Format one line per run.

    Args:
        runs: figures of the runs, by the names that the child program prints.
    """
    stages = list(dict.fromkeys(name for run in runs for name in run if name.endswith("_s")))
    names = ["footage", "part", "frames", "steps", "bytes", "peak_mb", *stages]
    rows = [[run.get(name) for name in names] for run in runs]
    headers = ["footage", "part", "frames used", "kept step", "bytes", "peak RSS, MB"]
    return markdown_table([*headers, *(stage.replace("_s", ", s") for stage in stages)], rows)


def main(arguments: list[str] | None = None) -> int:
    """Run the benchmark."""
    parser = clip_parser(__doc__, "a talking person, looped to each length")
    parser.add_argument(
        "--lengths", type=int, nargs="+", default=list(FOOTAGE_LENGTHS), help="seconds"
    )
    parser.add_argument(
        "--seconds", type=float, default=DEFAULT_FOOTAGE_SECONDS, help="to learn from; %(default)s"
    )
    parser.add_argument("--steps", type=int, help="default: as dubfew adapt")
    parser.add_argument("--quick", action="store_true", help="the shortest length, few steps")
    options = parser.parse_args(arguments)
    lengths = sorted(options.lengths)[:1] if options.quick else sorted(options.lengths)
    steps = QUICK_STEPS if options.quick else options.steps
    prior = str(options.prior) if options.prior else None
    line, before = machine_line(), machine()
    runs: list[dict[str, float | str | None]] = []
    # Results are written after every run, since long ones may be interrupted.
    with tempfile.TemporaryDirectory(prefix="dubfew-cost-") as name:
        folder = Path(name)
        for length in lengths:
            clip = folder / f"{length}.mp4"
            write_frames(clip, options.clip, looped(options.clip, length), lossless=False)
            starts = (None, 0.0) if length > options.seconds else (None,)
            for start in starts:
                part = "beginning" if start == 0 else "chosen" if len(starts) > 1 else "all"
                print(f"{length} s of footage, {part} ...", file=sys.stderr)
                asked = {"seconds": options.seconds, "start": start, "steps": steps, "prior": prior}
                # Arguments of the child program, as JSON.
                values = (str(folder / "home"), str(clip), asked)
                figures = run_fresh(CHILD_PROGRAM, *(json.dumps(value) for value in values))
                runs.append({"footage": f"{length} s", "part": part, **figures})
                text = format_document(options.clip.name, runs, line)
                data = {"machine_before": before, "machine_after": machine(), "runs": runs}
                write_results(options.out, "adapt_cost", text, data)
    print(format_document(options.clip.name, runs, line))
    return 0


def format_document(clip: str, runs: list[dict[str, float | str | None]], line: str) -> str:
    """Format the text of the results.

    Args:
        clip: name of the clip.
        runs: figures of the runs, the shortest footage first.
        line: description of the machine.
    """
    peaks = [float(run["peak_mb"] or 0) for run in runs]
    parts = [
        "# Memory and time of adapt",
        line,
        f"Product level: whole `dubfew adapt` in a fresh process, {clip} looped.",
        format_cost_table(runs),
        f"Highest peak over that of the shortest footage: {max(peaks) / peaks[0]:.2f}.",
    ]
    return "\n\n".join(parts) + "\n"


if __name__ == "__main__":
    sys.exit(main())
