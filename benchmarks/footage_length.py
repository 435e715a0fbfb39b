"""Quality against how much footage of an actor there is, with the prior and without.

    python -m benchmarks.footage_length [--clips ...] [--steps N] [--baseline-steps N] [--quick]

Window level (see `benchmarks.windows`). 25, 50, 100, 250 and 500 frames are known, where a clip is
long enough (a tenth or two fewer will do, and are said); tested is always the same tail of each
clip. *Prior* is the shipped prior adapted by LoRA; *no prior* the same network untrained, adapted
as a whole: both begin as the bare warp of that footage does, and keep the step that renders
held-out known frames best.

After paper 003, table 5 and figure 7.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import Any

from benchmarks.cells import NO_PRIOR, PRODUCT, Bench, Cell, bench_of, bench_parser
from benchmarks.common import markdown_table
from benchmarks.windows import MEASURES, Figures, mean_figures, most_known

LENGTHS = (25, 50, 100, 250, 500)
QUICK_LENGTHS = (25, 50)
# A clip that has this share of a length stands for it, with all that it has.
ENOUGH = 0.8
ROWS = {"warp": "bare warp", "no prior": "no prior", "prior": "prior"}


def known_for(length: int, frames: int) -> int | None:
    """How many frames of a clip stand for a length, None if it has too few."""
    known = min(length, most_known(frames))
    return known if known >= ENOUGH * length else None


def cells_of(
    bench: Bench, lengths: tuple[int, ...], steps: int, baseline: int
) -> list[tuple[str, int, str, Cell]]:
    """Clip, length, row and cell of everything to measure."""
    cells = []
    for clip in bench.usable():
        for length in lengths:
            known = known_for(length, bench.frames(clip))
            if known is None:
                continue
            cell = Cell(clip, known, steps, PRODUCT, tail=True)
            alone = replace(cell, steps=baseline, variant=NO_PRIOR)
            cells += [(clip.name, length, "prior", cell), (clip.name, length, "no prior", alone)]
    return cells


def gathered(
    found: list[tuple[str, int, str, dict[str, Any]]],
) -> dict[int, dict[str, dict[str, Figures]]]:
    """Length -> clip -> row -> figures; the bare warp is that of the prior's cell."""
    table: dict[int, dict[str, dict[str, Figures]]] = {}
    for clip, length, row, result in found:
        rows = table.setdefault(length, {}).setdefault(clip, {})
        rows[row] = result["kept"]
        rows["warp"] = result["warp"]
    return table


def group_tables(table: dict[int, dict[str, dict[str, Figures]]]) -> list[str]:
    """One table per length, of the clips that are long enough for it, up to that length: along
    each table the clips are the same."""
    parts = []
    for longest in sorted(table):
        clips = sorted(clip for clip, rows in table[longest].items() if len(rows) == len(ROWS))
        rows: list[list[object]] = []
        for length in sorted(length for length in table if length <= longest):
            same = [table[length][clip] for clip in clips if clip in table[length]]
            if len(same) < len(clips) or any(len(found) < len(ROWS) for found in same):
                continue
            means = {row: mean_figures(found[row] for found in same) for row in ROWS}
            psnr = [means[row]["psnr"] for row in ROWS]
            gains = [f"{value - psnr[0]:+.2f}" for value in psnr[1:]]
            others = [means[row][name] for name in ("ssim", "sharpness") for row in ROWS]
            rows.append([length, *psnr, *gains, *others])
        if rows:
            names = [f"{name}: {label}" for name in MEASURES for label in ROWS.values()]
            names[3:3] = ["gain: no prior", "gain: prior"]
            parts += [f"## Up to {longest} frames: mean of {len(clips)} clips ({', '.join(clips)})"]
            parts += [markdown_table(["frames", *names], rows)]
    return parts


def main(arguments: list[str] | None = None) -> int:
    parser = bench_parser(__doc__)
    parser.add_argument("--baseline-steps", type=int, help="without prior; default: as --steps")
    options = parser.parse_args(arguments)
    bench = bench_of(options)
    lengths = QUICK_LENGTHS if options.quick else LENGTHS
    baseline = options.steps if options.baseline_steps is None else options.baseline_steps
    wanted = cells_of(bench, lengths, options.steps, baseline)
    results = bench.measure(cell for *_, cell in wanted)
    done = [
        (clip, length, row, cell, result)
        for (clip, length, row, cell), result in zip(wanted, results, strict=True)
        if result is not None
    ]
    each = [
        [clip, length, cell.known, ROWS[row], result["steps"], *result["kept"].values()]
        for clip, length, row, cell, result in done
    ]
    parts = [
        *group_tables(gathered([(clip, length, row, r) for clip, length, row, _, r in done])),
        "## Every clip",
        markdown_table(["clip", "for", "known", "", "kept step", *MEASURES], each),
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
