"""Figures of every frame as inline SVG of a size that does not depend on the clip's length."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
from numpy.typing import NDArray

from dubfew.reconstruction.track import Track

WIDTH, HEIGHT = 760, 200
LEFT, RIGHT, TOP, BOTTOM = 46, 12, 12, 26
COLUMNS = WIDTH - LEFT - RIGHT  # points of a curve at most


def curves_svg(track: Track, curves: Mapping[str, NDArray[np.float64]]) -> str:
    """Curves [N] of one unit over time, the last one drawn on top.

    Where there are more frames than columns, a column shows the largest of its frames: a single
    bad frame stays visible. Frames with flags are shaded, cuts dashed. Colours are CSS
    variables of the page.
    """
    if not len(track):
        return ""
    columns = min(COLUMNS, len(track))
    drawn = {name: _largest(values, columns) for name, values in curves.items()}
    finite = np.concatenate([values[np.isfinite(values)] for values in drawn.values()])
    top = float(finite.max()) if len(finite) else 1.0
    top = max(top, 1e-9)
    step = (WIDTH - LEFT - RIGHT) / columns

    def y(value: float) -> float:
        return HEIGHT - BOTTOM - value / top * (HEIGHT - TOP - BOTTOM)

    parts = [
        f'<svg class="curve" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        f'aria-label="{", ".join(curves)} by frame">'
    ]
    flagged = _largest((track.flags != 0).astype(np.float64), columns) > 0
    for start, stop in _runs(flagged):
        parts.append(
            f'<rect class="flag" x="{LEFT + start * step:.1f}" y="{TOP}" '
            f'width="{(stop - start) * step:.1f}" height="{HEIGHT - TOP - BOTTOM}"/>'
        )
    for cut in np.unique((np.flatnonzero(np.diff(track.shot)) + 1) * columns // len(track)):
        x = LEFT + cut * step
        parts.append(
            f'<line class="cut" x1="{x:.1f}" x2="{x:.1f}" y1="{TOP}" y2="{HEIGHT - BOTTOM}"/>'
        )
    for share in (0.0, 0.5, 1.0):
        level = y(share * top)
        parts.append(
            f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{level:.1f}" '
            f'y2="{level:.1f}"/><text x="{LEFT - 6}" y="{level + 4:.1f}" text-anchor="end">'
            f"{share * top:.3g}</text>"
        )
    for index, values in enumerate(drawn.values()):
        kind = "line" if index == len(drawn) - 1 else "other"
        for start, stop in _runs(np.isfinite(values)):
            points = " ".join(
                f"{LEFT + (column + 0.5) * step:.1f},{y(values[column]):.1f}"
                for column in range(start, stop)
            )
            parts.append(f'<polyline class="{kind}" points="{points}"/>')
    first, last = float(track.times[0]), float(track.times[-1])
    parts.append(
        f'<text x="{LEFT}" y="{HEIGHT - 8}">{first:.1f} s</text><text x="{WIDTH - RIGHT}" '
        f'y="{HEIGHT - 8}" text-anchor="end">{last:.1f} s</text></svg>'
    )
    return "".join(parts)


def _largest(values: NDArray[np.float64], columns: int) -> NDArray[np.float64]:
    """The largest value of each column's frames, NaN where none is a number. [columns]"""
    starts = np.arange(columns) * len(values) // columns
    filled = np.where(np.isfinite(values), values, -np.inf)
    found = np.maximum.reduceat(filled, starts)
    return np.where(np.isfinite(found), found, np.nan)


def _runs(flags: NDArray[np.bool_]) -> Iterator[tuple[int, int]]:
    """Where True begins and ends."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], flags, [False]]).astype(np.int8)))
    yield from zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True)
