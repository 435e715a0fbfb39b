"""Ways to adapt: quality, seconds and bytes of texture, LoRA of several ranks, and full.

    python -m benchmarks.methods [--clips ...] [--steps N] [--quick]

Window level (see `benchmarks.windows`); as much known as `benchmarks.reenact` has. Seconds are
of the steps alone, without tracking. Bytes are the weights' delta and the neural texture as an
adapter stores them, without references and track, which are the same for all.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from typing import Any

from benchmarks.cells import Cell, bench_of, bench_parser
from benchmarks.common import markdown_table
from benchmarks.windows import MEASURES, mean_figures

MOST = 3


@dataclass(frozen=True)
class Way:
    """One line of the table: a method and what is asked of it."""

    method: str
    options: dict[str, int] = field(default_factory=dict)


WAYS = {
    "texture": Way("texture"),
    **{f"LoRA, rank {rank}": Way("lora", {"rank": rank}) for rank in (4, 8, 16, 32)},
    "full": Way("full"),
}


def way_table(found: dict[str, list[dict[str, Any]]]) -> str:
    """One line per way, means over its clips."""
    rows: list[list[object]] = []
    for name, results in found.items():
        if not results:
            continue
        kept = mean_figures(r["kept"] for r in results)
        zero = mean_figures(r["zero"] for r in results)
        steps = sum(r["last"] for r in results)
        seconds = sum(r["seconds"] for r in results)
        stored = [sum(r["bytes"][part] for r in results) / len(results) for part in BYTES]
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
    names = ["method", *MEASURES, "over zero steps, dB", "s", "s / step", "weights, kB"]
    return markdown_table([*names, "texture, kB"], rows)


BYTES = ("weights", "texture")


def main(arguments: list[str] | None = None) -> int:
    parser = bench_parser(__doc__)
    options = parser.parse_args(arguments)
    bench = bench_of(options, most=MOST)
    wanted = [
        (name, Cell(clip, bench.known(clip), options.steps, method=way.method, options=way.options))
        for clip in bench.usable()
        for name, way in WAYS.items()
    ]
    results = bench.measure(cell for _, cell in wanted)
    done = [
        (name, cell, result)
        for (name, cell), result in zip(wanted, results, strict=True)
        if result is not None
    ]
    found = {name: [result for other, _, result in done if other == name] for name in WAYS}
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
        way_table(found),
        "## Every clip",
        markdown_table(["clip", "method", "kept step", "warp", "zero steps", *MEASURES], each),
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
