"""Quality against the amount of footage of an actor, with the prior and without.

    python -m benchmarks.footage_length [--clips ...] [--steps N] [--baseline-steps N] [--quick]

Window level (see `benchmarks.windows`). 25, 50, 100, 250 and 500 frames are known, where a clip is
long enough (up to a fifth fewer will do, and are printed). The test frames are always the same tail
of each clip. *Prior* is the shipped prior adapted by LoRA; *no prior* is the same network
untrained, all of its weights trained. Both render the bare warp of that footage at step 0, or
nearly so, and keep the step that renders held-out known frames best.

Source: Saunders and Namboodiri 2024, "Dubbing for Everyone: Data-Efficient Visual Dubbing using
Neural Rendering Priors" (arXiv 2401.06126), table 5 and figure 7, for the form.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import Any

from benchmarks.cells import (
    NO_PRIOR_VARIANT,
    PRODUCT_VARIANT,
    Cell,
    CellBenchmark,
    make_benchmark,
    make_parser,
)
from benchmarks.common import markdown_table
from benchmarks.windows import WINDOW_METRICS, WindowMetrics, max_known_frames, mean_metrics

# Numbers of known frames: 1 s to 20 s at 25 fps.
FOOTAGE_LENGTHS = (25, 50, 100, 250, 500)
QUICK_LENGTHS = (25, 50)
# A clip with this fraction of a length stands for it, with all frames that it has.
LENGTH_TOLERANCE = 0.8
# Systems of the tables, by the names that results have.
TABLE_ROWS = {"warp": "bare warp", "no prior": "no prior", "prior": "prior"}


def known_frames_for(length: int, frames: int) -> int | None:
    """Compute how many frames of a clip stand for a length.

    Args:
        length: wanted number of known frames.
        frames: frames of the clip.

    Returns:
        Number of known frames; None if the clip is too short.
    """
    known = min(length, max_known_frames(frames))
    return known if known >= LENGTH_TOLERANCE * length else None


def list_cells(
    bench: CellBenchmark, lengths: tuple[int, ...], steps: int, baseline: int
) -> list[tuple[str, int, str, Cell]]:
    """List everything to measure.

    Args:
        bench: knows the clips.
        lengths: numbers of known frames.
        steps: steps with the prior.
        baseline: steps without it.

    Returns:
        Clip, length, row of the table and cell.
    """
    cells = []
    for clip in bench.usable():
        for length in lengths:
            known = known_frames_for(length, bench.frames(clip))
            if known is None:
                continue
            cell = Cell(clip, known, steps, PRODUCT_VARIANT, tail=True)
            alone = replace(cell, steps=baseline, variant=NO_PRIOR_VARIANT)
            cells += [(clip.name, length, "prior", cell), (clip.name, length, "no prior", alone)]
    return cells


def group_results(
    found: list[tuple[str, int, str, dict[str, Any]]],
) -> dict[int, dict[str, dict[str, WindowMetrics]]]:
    """Group metrics by length, clip and row; the bare warp is that of the prior's cell."""
    table: dict[int, dict[str, dict[str, WindowMetrics]]] = {}
    for clip, length, row, result in found:
        rows = table.setdefault(length, {}).setdefault(clip, {})
        rows[row] = result["kept"]
        rows["warp"] = result["warp"]
    return table


def format_length_tables(table: dict[int, dict[str, dict[str, WindowMetrics]]]) -> list[str]:
    """Format one table per set of clips, up to the length that all of them are long enough for.

    All lines of a table are means over the same clips.
    """
    # Of lengths with the same clips the longest one has all lines of the others.
    longest_of = {
        tuple(sorted(clip for clip, rows in table[length].items() if len(rows) == len(TABLE_ROWS))):
            length
        for length in sorted(table)
    }  # fmt: skip
    parts = []
    for clips, longest in longest_of.items():
        rows: list[list[object]] = []
        for length in sorted(length for length in table if length <= longest):
            same = [table[length][clip] for clip in clips if clip in table[length]]
            if len(same) < len(clips) or any(len(found) < len(TABLE_ROWS) for found in same):
                continue
            means = {row: mean_metrics(found[row] for found in same) for row in TABLE_ROWS}
            psnr = [means[row]["psnr"] for row in TABLE_ROWS]
            gains = [f"{value - psnr[0]:+.2f}" for value in psnr[1:]]
            others = [means[row][name] for name in ("ssim", "sharpness") for row in TABLE_ROWS]
            rows.append([length, *psnr, *gains, *others])
        if rows:
            names = [f"{name}: {label}" for name in WINDOW_METRICS for label in TABLE_ROWS.values()]
            names[3:3] = ["gain: no prior", "gain: prior"]
            parts += [f"## Up to {longest} frames: mean of {len(clips)} clips ({', '.join(clips)})"]
            parts += [markdown_table(["frames", *names], rows)]
    return parts


def main(arguments: list[str] | None = None) -> int:
    """Run the benchmark; return 1 if a cell failed."""
    parser = make_parser(__doc__)
    parser.add_argument("--baseline-steps", type=int, help="without prior; default: as --steps")
    options = parser.parse_args(arguments)
    bench = make_benchmark(options)
    lengths = QUICK_LENGTHS if options.quick else FOOTAGE_LENGTHS
    baseline = options.steps if options.baseline_steps is None else options.baseline_steps
    requested = list_cells(bench, lengths, options.steps, baseline)
    results = bench.measure(cell for *_, cell in requested)
    # Cells that failed are left out and named below the tables.
    done = [
        (clip, length, row, cell, result)
        for (clip, length, row, cell), result in zip(requested, results, strict=True)
        if result is not None
    ]
    each = [
        [clip, length, cell.known, TABLE_ROWS[row], result["steps"], *result["kept"].values()]
        for clip, length, row, cell, result in done
    ]
    parts = [
        *format_length_tables(
            group_results([(clip, length, row, r) for clip, length, row, _, r in done])
        ),
        "## Every clip",
        markdown_table(["clip", "for", "known", "", "kept step", *WINDOW_METRICS], each),
    ]
    notes = (
        f"Window level; {options.steps} steps with the prior, {baseline} without; {options.tests} "
        "test frames of each clip's tail. PSNR in dB; sharpness is output / original."
    )
    data = {
        "steps": options.steps,
        "baseline_steps": baseline,
        "cells": [
            {"clip": clip, "length": length, "known": cell.known, "row": row, **result}
            for clip, length, row, cell, result in done
        ],
    }
    bench.write("footage_length", "Quality against footage length", notes, parts, data)
    return 1 if bench.failed else 0


if __name__ == "__main__":
    sys.exit(main())
