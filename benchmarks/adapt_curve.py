"""What every ten seconds of adaptation bring, and whether adaptation stops at the right moment.

    python -m benchmarks.adapt_curve [--clips ...] [--steps N] [--quick]

Window level (see `benchmarks.windows`): learning goes on to its last step, and test frames are
judged on the way. Where ``dubfew adapt`` would have stopped, and which step it would have kept,
follows from the held-out known frames that it looks at. Seconds are of learning alone, without
tracking and without the judging of test frames.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import Any

from benchmarks.cells import LONG, Cell, bench_of, bench_parser
from benchmarks.common import markdown_table
from benchmarks.steps import Curve, judged_part
from benchmarks.windows import MEASURES
from dubfew.adapt.trainer import PATIENCE_VALIDATIONS, VALIDATE_EVERY_STEPS

MOST = 3
TICK = 10  # seconds


def stopped(curve: Curve) -> tuple[int, int]:
    """The step that ``learn`` keeps and the one that it stops at, by its own rule."""
    looks = [point for point in curve if point["heldout"] is not None]
    if not looks:
        return curve[-1]["step"], curve[-1]["step"]
    kept = looks[0]
    for point in looks[1:]:
        if point["heldout"] > kept["heldout"]:
            kept = point
        if point["step"] - kept["step"] >= VALIDATE_EVERY_STEPS * PATIENCE_VALIDATIONS:
            return kept["step"], point["step"]
    return kept["step"], looks[-1]["step"]


def at_step(curve: Curve, step: int) -> dict[str, Any]:
    """The last point whose test frames were judged at or before a step."""
    return [point for point in judged_part(curve) if point["step"] <= step][-1]


def ticks(curve: Curve) -> list[dict[str, Any]]:
    """What there is at 0, 10, 20, ... seconds: the last judged point before each."""
    points = judged_part(curve)
    rows = []
    for tick in range(0, int(points[-1]["seconds"]) + TICK, TICK):
        before = [point for point in points if point["seconds"] <= tick] or points[:1]
        rows.append({**before[-1], "tick": tick})
    return rows


def mean_ticks(curves: Iterable[Curve]) -> list[list[object]]:
    """Rows of the mean table; a clip that has ended counts with its last point."""
    tables = [ticks(curve) for curve in curves]
    rows: list[list[object]] = []
    for index in range(max((len(table) for table in tables), default=0)):
        points = [table[min(index, len(table) - 1)] for table in tables]
        means = [sum(point[name] for point in points) / len(points) for name in MEASURES]
        gain = sum(p["psnr"] - t[0]["psnr"] for p, t in zip(points, tables, strict=True))
        running = sum(index < len(table) for table in tables)
        rows.append([index * TICK, *means, f"{gain / len(points):+.2f}", running])
    return rows


def stop_row(clip: str, curve: Curve) -> list[object]:
    """One clip's line of the table of stops."""
    kept_step, stop_step = stopped(curve)
    points = judged_part(curve)
    kept, best, last = at_step(curve, kept_step), max(points, key=lambda p: p["psnr"]), points[-1]
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
    parser = bench_parser(__doc__, LONG)
    options = parser.parse_args(arguments)
    bench = bench_of(options, most=MOST)
    cells = [Cell(clip, bench.known(clip), options.steps, stops=False) for clip in bench.usable()]
    curves = {
        cell.clip.name: result["curve"]
        for cell, result in zip(cells, bench.measure(cells), strict=True)
        if result is not None
    }
    parts = [
        f"## Mean of {len(curves)} clips after so many seconds",
        markdown_table(
            ["s", *MEASURES, "over zero steps", "still learning"], mean_ticks(curves.values())
        ),
        "## Where it stops (test PSNR, dB)",
        markdown_table(STOP_HEADERS, [stop_row(clip, curve) for clip, curve in curves.items()]),
    ]
    for clip, curve in curves.items():
        rows = [
            [row["tick"], row["step"], row["heldout"], *(row[name] for name in MEASURES)]
            for row in ticks(curve)
        ]
        parts += [f"## {clip}", markdown_table(["s", "step", "held out", *MEASURES], rows)]
    notes = (
        f"Window level; {options.tests} test frames a clip, {options.steps} steps without stopping."
    )
    data = {"steps": options.steps, "curves": curves}
    bench.write("adapt_curve", "Adaptation, second by second", notes, parts, data)
    return 1 if bench.failed else 0


if __name__ == "__main__":
    sys.exit(main())
