"""Plot of a protocol: a panel for each measure, a line for each row, a dot for each clip."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from dubfew.evaluate.metrics import METRICS
from dubfew.utils.figures import write_figure
from dubfew.utils.machine import machine

# Width of a panel and height of the figure, inches.
PANEL_INCHES, HEIGHT_INCHES = 3.2, 3.6


@dataclass(frozen=True)
class ProtocolRow:
    """One condition of a protocol.

    Attributes:
        variant: name of the variant.
        known: number of known frames.
        count: number of clips.
        means: value of all clips by measure, in the order of the table; None without one.
        values: values of the single clips by measure; None without one.
    """

    variant: str
    known: int
    count: int
    means: Mapping[str, float | None]
    values: Mapping[str, Sequence[float | None]]


def plot_protocol(path: Path, title: str, rows: Sequence[ProtocolRow]) -> None:
    """Draw the rows; measures without any value have no panel, and nothing is drawn without one.

    Args:
        path: file to write; its ending chooses the format.
        title: line above the plot.
        rows: rows of the table.
    """
    # Importing matplotlib takes a second, and few commands plot.
    from matplotlib.figure import Figure

    measures = [
        name
        for name in dict.fromkeys(name for row in rows for name in row.means)
        if any(row.means[name] is not None for row in rows)
    ]
    if not measures:
        return
    figure = Figure((PANEL_INCHES * len(measures), HEIGHT_INCHES), layout="constrained")
    for axes, name in zip(
        figure.subplots(1, len(measures), squeeze=False)[0], measures, strict=True
    ):
        for place, row in enumerate(rows):
            mean = row.means[name]
            if mean is not None:
                # No bars: from 0 on they would hide differences such as that of 34 and 35 dB.
                axes.hlines(mean, place - 0.35, place + 0.35, colors=f"C{place % 10}", linewidth=4)
            found = [value for value in row.values[name] if value is not None]
            axes.plot([place] * len(found), found, "k.", markersize=4)
        labels = [f"{row.variant}\n{row.known} known" for row in rows]
        axes.set_xticks(range(len(rows)), labels, rotation=45, ha="right", fontsize=8)
        metric = METRICS.load(name)
        axes.set_title(f"{name}{f', {metric.unit}' if metric.unit else ''}", fontsize=9)
    facts = ", ".join(f"{key} {value}" for key, value in machine().items())
    figure.suptitle(f"{title} (lines: all clips, dots: single ones)", fontsize=10)
    figure.supxlabel(facts, fontsize=6)
    write_figure(path, figure)
