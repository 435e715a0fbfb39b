"""Gain of every ten seconds of adaptation, and whether adaptation stops at the right step.

    python -m benchmarks.adapt_curve [--clips ...] [--steps N] [--quick]

Window level (see `benchmarks.windows`): training goes on to its last step, and test frames are
measured on the way. The step at which ``dubfew adapt`` would have stopped, and the step that it
would have kept, follow from the held-out frames among the known ones. Seconds are of training
alone, without tracking and without measuring test frames.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import Any

from benchmarks.cells import LONG_RUN_STEPS, Cell, make_benchmark, make_parser
from benchmarks.common import markdown_table
from benchmarks.steps import StepCurve, measured_points
from benchmarks.windows import WINDOW_METRICS
from dubfew.adapt.trainer import MIN_GAIN_DB, PATIENCE_VALIDATIONS, VALIDATE_EVERY_STEPS

# Clips that are measured, unless named: every one trains for hundreds of steps.
MAX_CLIPS = 3
# Step of the tables over time, s.
TICK_SECONDS = 10


def find_stop(curve: StepCurve) -> tuple[int, int]:
    """Find the step that `train_adapter` keeps and the one that it stops at, by its rule.

    Args:
        curve: points of a training that did not stop early.

    Returns:
        The kept step and the step of the stop.
    """
    validations = [point for point in curve if point["heldout"] is not None]
    if not validations:
        return curve[-1]["step"], curve[-1]["step"]
    kept = gained = validations[0]
    for point in validations[1:]:
        if point["heldout"] > kept["heldout"]:
            kept = point
        if point["heldout"] >= gained["heldout"] + MIN_GAIN_DB:
            gained = point
        if point["step"] - gained["step"] >= VALIDATE_EVERY_STEPS * PATIENCE_VALIDATIONS:
            return kept["step"], point["step"]
    return kept["step"], validations[-1]["step"]


def find_point(curve: StepCurve, step: int) -> dict[str, Any]:
    """Find the last point with measured test frames at or before a step.

    Args:
        curve: points of a training.
        step: the step.
    """
    return [point for point in measured_points(curve) if point["step"] <= step][-1]


def list_ticks(curve: StepCurve) -> list[dict[str, Any]]:
    """List the last measured point at 0, 10, 20, ... seconds."""
    points = measured_points(curve)
    rows = []
    for tick in range(0, int(points[-1]["seconds"]) + TICK_SECONDS, TICK_SECONDS):
        before = [point for point in points if point["seconds"] <= tick] or points[:1]
        rows.append({**before[-1], "tick": tick})
    return rows


def mean_tick_rows(curves: Iterable[StepCurve]) -> list[list[object]]:
    """Compute the rows of the mean table; a clip that has ended counts with its last point."""
    tables = [list_ticks(curve) for curve in curves]
    rows: list[list[object]] = []
    for index in range(max((len(table) for table in tables), default=0)):
        points = [table[min(index, len(table) - 1)] for table in tables]
        means = [sum(point[name] for point in points) / len(points) for name in WINDOW_METRICS]
        gain = sum(p["psnr"] - t[0]["psnr"] for p, t in zip(points, tables, strict=True))
        running = sum(index < len(table) for table in tables)
        rows.append([index * TICK_SECONDS, *means, f"{gain / len(points):+.2f}", running])
    return rows


def format_stop_row(clip: str, curve: StepCurve) -> list[object]:
    """Format one clip's line of the table of stops.

    Args:
        clip: name of the clip.
        curve: points of its training.
    """
    kept_step, stop_step = find_stop(curve)
    points = measured_points(curve)
    kept, best, last = (
        find_point(curve, kept_step),
        max(points, key=lambda p: p["psnr"]),
        points[-1],
    )
    seconds = next(point["seconds"] for point in curve if point["step"] >= stop_step)
    return [
        clip,
        points[0]["psnr"],
        f"{kept['psnr']:.2f} ({kept_step})",
        f"{best['psnr']:.2f} ({best['step']})",
        f"{last['psnr']:.2f} ({last['step']})",
        f"{stop_step} ({seconds:.0f} s)",
        f"{kept['psnr'] - best['psnr']:+.2f}",
        f"{kept['psnr'] - last['psnr']:+.2f}",
        "yes" if kept["psnr"] < points[0]["psnr"] else "no",
        min(point["psnr"] for point in points) - points[0]["psnr"],
    ]


# Columns of the table of stops.
STOP_HEADERS = (
    "clip",
    "zero steps",
    "kept (step)",
    "best (step)",
    "last (step)",
    "stops at",
    "kept - best",
    "kept - last",
    "kept below zero steps",
    "lowest - zero steps",
)


def main(arguments: list[str] | None = None) -> int:
    """Run the benchmark; return 1 if a cell failed."""
    parser = make_parser(__doc__, LONG_RUN_STEPS)
    options = parser.parse_args(arguments)
    bench = make_benchmark(options, most=MAX_CLIPS)
    cells = [Cell(clip, bench.known(clip), options.steps, stops=False) for clip in bench.usable()]
    curves = {
        cell.clip.name: result["curve"]
        for cell, result in zip(cells, bench.measure(cells), strict=True)
        if result is not None
    }
    # The mean over the clips, the stops, and every clip by itself, if there are several.
    parts = [
        f"## Mean of {len(curves)} clips after so many seconds",
        markdown_table(
            ["s", *WINDOW_METRICS, "over zero steps", "still learning"],
            mean_tick_rows(curves.values()),
        ),
        "## Where it stops (test PSNR, dB)",
        markdown_table(
            STOP_HEADERS, [format_stop_row(clip, curve) for clip, curve in curves.items()]
        ),
    ]
    for clip, curve in curves.items() if len(curves) > 1 else ():
        rows = [
            [row["tick"], row["step"], row["heldout"], *(row[name] for name in WINDOW_METRICS)]
            for row in list_ticks(curve)
        ]
        parts += [f"## {clip}", markdown_table(["s", "step", "held out", *WINDOW_METRICS], rows)]
    notes = (
        f"Window level; {options.tests} test frames a clip, {options.steps} steps without stopping."
    )
    data = {"steps": options.steps, "curves": curves}
    bench.write("adapt_curve", "Adaptation, second by second", notes, parts, data)
    return 1 if bench.failed else 0


if __name__ == "__main__":
    sys.exit(main())
