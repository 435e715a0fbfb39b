"""Two measures of systems against each other, such as SIDGAN's figure 7: FID against LSE-D.

    python -m benchmarks.scatter 002.1 --x lse_d --y fid --set HDTF [--measured NAME=FILE.csv ...]

Published rows are drawn from dubfew's copy of the paper's table. A FILE is the CSV of ``dubfew
bench paper`` or ``dubfew bench peers``; its means are drawn in another form, since only runs of the
paper's protocol on its data set may be compared.

Source: Muaz et al. 2023, "SIDGAN: High-Resolution Dubbed Video Generation via Shift-Invariant
Learning", figure 7.
"""

from __future__ import annotations

import argparse
import csv
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from benchmarks.common import RESULTS
from dubfew.evaluate.papers.protocols import load_published

# A measure of systems: its two values by the system's name.
Points = dict[str, tuple[float, float]]


def published_points(table: Mapping, x: str, y: str, data_set: str) -> Points:
    """Take two columns of a published table; rows without both are left out."""
    places = [table["columns"].index(name) for name in (x, y)]
    found: Points = {}
    for row in table["rows"]:
        first, second = (row["values"][place] for place in places)
        if row["set"] == data_set and first is not None and second is not None:
            found[row["system"]] = (float(first), float(second))
    return found


def measured_points(path: Path, label: str, x: str, y: str) -> Points:
    """Average two columns of a CSV for each of its systems; empty cells are left out."""
    values: dict[str, list[tuple[float, float]]] = {}
    with open(path, newline="") as file:
        for row in csv.DictReader(file):
            if row.get(x) and row.get(y):
                values.setdefault(row["system"], []).append((float(row[x]), float(row[y])))
    means = {system: np.mean(rows, axis=0) for system, rows in values.items()}
    return {f"{label}: {system}": (float(a), float(b)) for system, (a, b) in means.items()}


def draw_scatter(path: Path, published: Points, measured: Points, x: str, y: str) -> None:
    """Draw the points with their names."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axis = pyplot.subplots(figsize=(5.5, 4))
    for points, marker, label in ((published, "o", "published"), (measured, "x", "measured here")):
        if points:
            axis.scatter(*zip(*points.values(), strict=True), marker=marker, label=label)
        for name, place in points.items():
            axis.annotate(name, place, xytext=(4, 4), textcoords="offset points", fontsize=8)
    axis.set_xlabel(x)
    axis.set_ylabel(y)
    axis.legend()
    figure.tight_layout()
    figure.savefig(path, dpi=110)
    pyplot.close(figure)


def main(arguments: Sequence[str] | None = None) -> int:
    """Parse arguments and draw."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("table", help="id of a published table, such as 002.1")
    parser.add_argument("--x", default="lse_d")
    parser.add_argument("--y", default="fid")
    parser.add_argument("--set", default="HDTF", help="data set of the published rows")
    parser.add_argument("--measured", nargs="*", default=[], metavar="NAME=FILE")
    parser.add_argument("--out", type=Path, default=RESULTS / "scatter.png")
    options = parser.parse_args(arguments)
    tables = load_published()
    if options.table not in tables:
        parser.error(f"no table {options.table!r}: there are {', '.join(tables)}")
    published = published_points(tables[options.table], options.x, options.y, options.set)
    measured: Points = {}
    for given in options.measured:
        label, _, file = given.partition("=")
        measured |= measured_points(Path(file), label, options.x, options.y)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    draw_scatter(options.out, published, measured, options.x, options.y)
    for name, (first, second) in {**published, **measured}.items():
        print(f"{name}: {options.x} {first:g}, {options.y} {second:g}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
