"""Adaptation methods: quality, seconds and bytes of texture, LoRA of several ranks, and full.

    python -m benchmarks.methods [--clips ...] [--steps N] [--quick]

Window level (see `benchmarks.windows`), with as many known frames as `benchmarks.reenact` has.
Seconds are of the steps alone, without tracking. Bytes are the delta of the weights and the neural
texture as an adapter stores them; references and track are the same for all methods.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from typing import Any

from benchmarks.cells import Cell, make_benchmark, make_parser
from benchmarks.common import markdown_table
from benchmarks.windows import WINDOW_METRICS, mean_metrics

# Clips that are measured, unless named: every one is adapted to once per method.
MAX_CLIPS = 3


@dataclass(frozen=True)
class MethodRun:
    """One line of the table.

    Attributes:
        method: name of the adaptation method.
        options: options that differ from the method's defaults.
    """

    method: str
    options: dict[str, int] = field(default_factory=dict)


# Lines of the table by their labels.
METHOD_RUNS = {
    "texture": MethodRun("texture"),
    **{f"LoRA, rank {rank}": MethodRun("lora", {"rank": rank}) for rank in (4, 8, 16, 32)},
    "full": MethodRun("full"),
}


# Parts of a stored actor whose bytes are counted.
STORED_PARTS = ("weights", "texture")


def format_method_table(found: dict[str, list[dict[str, Any]]]) -> str:
    """Format one line per method, means over its clips.

    Args:
        found: results of every line's clips.
    """
    rows: list[list[object]] = []
    for name, results in found.items():
        if not results:
            continue
        kept = mean_metrics(r["kept"] for r in results)
        zero = mean_metrics(r["zero"] for r in results)
        steps = sum(r["last"] for r in results)
        seconds = sum(r["seconds"] for r in results)
        stored = [sum(r["bytes"][part] for r in results) / len(results) for part in STORED_PARTS]
        rows.append(
            [
                name,
                *kept.values(),
                f"{kept['psnr'] - zero['psnr']:+.2f}",
                seconds / len(results),
                seconds / steps if steps else None,
                *(round(size / 1000) for size in stored),
            ]
        )
    names = ["method", *WINDOW_METRICS, "over zero steps, dB", "s", "s / step", "weights, kB"]
    return markdown_table([*names, "texture, kB"], rows)


def main(arguments: list[str] | None = None) -> int:
    """Run the benchmark; return 1 if a cell failed."""
    parser = make_parser(__doc__)
    options = parser.parse_args(arguments)
    bench = make_benchmark(options, most=MAX_CLIPS)
    requested = [
        (name, Cell(clip, bench.known(clip), options.steps, method=run.method, options=run.options))
        for clip in bench.usable()
        for name, run in METHOD_RUNS.items()
    ]
    # A cell that failed is left out of the means and named below the tables.
    results = bench.measure(cell for _, cell in requested)
    done = [
        (name, cell, result)
        for (name, cell), result in zip(requested, results, strict=True)
        if result is not None
    ]
    found = {name: [result for other, _, result in done if other == name] for name in METHOD_RUNS}
    each = [
        [
            cell.clip.name,
            name,
            result["steps"],
            result["warp"]["psnr"],
            result["zero"]["psnr"],
            *result["kept"].values(),
        ]
        for name, cell, result in done
    ]
    parts = [
        format_method_table(found),
        "## Every clip",
        markdown_table(
            ["clip", "method", "kept step", "warp", "zero steps", *WINDOW_METRICS], each
        ),
    ]
    notes = (
        f"Window level; mean of {len({cell.clip for _, cell, _ in done})} clips, at most "
        f"{options.steps} steps each."
    )
    data = {
        "steps": options.steps,
        "cells": [{"clip": cell.clip.name, "way": name, **r} for name, cell, r in done],
    }
    bench.write("methods", "Ways to adapt", notes, parts, data)
    return 1 if bench.failed else 0


if __name__ == "__main__":
    sys.exit(main())
