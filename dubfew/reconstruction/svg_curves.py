"""Figures of every frame as inline SVG of a size that does not depend on the clip's length."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
from numpy.typing import NDArray

from dubfew.reconstruction.track import Track

CURVE_WIDTH_UNITS, CURVE_HEIGHT_UNITS = 760, 200
CURVE_MARGIN_LEFT, CURVE_MARGIN_RIGHT, CURVE_MARGIN_TOP, CURVE_MARGIN_BOTTOM = 46, 12, 12, 26
MAX_CURVE_COLUMNS = (
    CURVE_WIDTH_UNITS - CURVE_MARGIN_LEFT - CURVE_MARGIN_RIGHT
)  # points of a curve at most


def render_curves_svg(track: Track, curves: Mapping[str, NDArray[np.float64]]) -> str:
    """Curves [N] of one unit over time, the last one drawn on top.

    Where there are more frames than columns, a column shows the largest of its frames: a single
    bad frame stays visible. Frames with flags are shaded, cuts dashed. Colours are CSS
    variables of the page.
    """
    if not len(track):
        return ""
    columns = min(MAX_CURVE_COLUMNS, len(track))
    drawn = {name: _column_maxima(values, columns) for name, values in curves.items()}
    finite = np.concatenate([values[np.isfinite(values)] for values in drawn.values()])
    top = float(finite.max()) if len(finite) else 1.0
    top = max(top, 1e-9)
    step = (CURVE_WIDTH_UNITS - CURVE_MARGIN_LEFT - CURVE_MARGIN_RIGHT) / columns

    def y_from_value(value: float) -> float:
        return (
            CURVE_HEIGHT_UNITS
            - CURVE_MARGIN_BOTTOM
            - value / top * (CURVE_HEIGHT_UNITS - CURVE_MARGIN_TOP - CURVE_MARGIN_BOTTOM)
        )

    parts = [
        f'<svg class="curve" viewBox="0 0 {CURVE_WIDTH_UNITS} {CURVE_HEIGHT_UNITS}" role="img" '
        f'aria-label="{", ".join(curves)} by frame">'
    ]
    flagged = _column_maxima((track.flags != 0).astype(np.float64), columns) > 0
    for start, stop in _iterate_true_runs(flagged):
        parts.append(
            f'<rect class="flag" x="{CURVE_MARGIN_LEFT + start * step:.1f}" y="{CURVE_MARGIN_TOP}" '
            f'width="{(stop - start) * step:.1f}" '
            f'height="{CURVE_HEIGHT_UNITS - CURVE_MARGIN_TOP - CURVE_MARGIN_BOTTOM}"/>'
        )
    for cut in np.unique((np.flatnonzero(np.diff(track.shot)) + 1) * columns // len(track)):
        x = CURVE_MARGIN_LEFT + cut * step
        parts.append(
            f'<line class="cut" x1="{x:.1f}" x2="{x:.1f}" y1="{CURVE_MARGIN_TOP}" '
            f'y2="{CURVE_HEIGHT_UNITS - CURVE_MARGIN_BOTTOM}"/>'
        )
    for share in (0.0, 0.5, 1.0):
        level = y_from_value(share * top)
        parts.append(
            f'<line class="grid" x1="{CURVE_MARGIN_LEFT}" '
            f'x2="{CURVE_WIDTH_UNITS - CURVE_MARGIN_RIGHT}" y1="{level:.1f}" '
            f'y2="{level:.1f}"/><text x="{CURVE_MARGIN_LEFT - 6}" y="{level + 4:.1f}" '
            'text-anchor="end">'
            f"{share * top:.3g}</text>"
        )
    for index, values in enumerate(drawn.values()):
        kind = "line" if index == len(drawn) - 1 else "other"
        for start, stop in _iterate_true_runs(np.isfinite(values)):
            xs = [CURVE_MARGIN_LEFT + (column + 0.5) * step for column in range(start, stop)]
            ys = [y_from_value(values[column]) for column in range(start, stop)]
            points = " ".join(f"{x:.1f},{y:.1f}" for x, y in zip(xs, ys, strict=True))
            parts.append(f'<polyline class="{kind}" points="{points}"/>')
    first, last = float(track.times[0]), float(track.times[-1])
    parts.append(
        f'<text x="{CURVE_MARGIN_LEFT}" y="{CURVE_HEIGHT_UNITS - 8}">{first:.1f} s</text>'
        f"<text "
        f'x="{CURVE_WIDTH_UNITS - CURVE_MARGIN_RIGHT}" '
        f'y="{CURVE_HEIGHT_UNITS - 8}" text-anchor="end">{last:.1f} s</text></svg>'
    )
    return "".join(parts)


def _column_maxima(values: NDArray[np.float64], num_columns: int) -> NDArray[np.float64]:
    """The largest value of each column's frames, NaN where none is a number. [columns]"""
    starts = np.arange(num_columns) * len(values) // num_columns
    filled = np.where(np.isfinite(values), values, -np.inf)
    found = np.maximum.reduceat(filled, starts)
    return np.where(np.isfinite(found), found, np.nan)


def _iterate_true_runs(flags: NDArray[np.bool_]) -> Iterator[tuple[int, int]]:
    """Where True begins and ends."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], flags, [False]]).astype(np.int8)))
    yield from zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True)
