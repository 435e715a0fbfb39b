"""Curves of a track's measures over time, as inline SVG whose size does not grow with the clip."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dubfew.reconstruction.track import Track
from dubfew.utils.runs import iterate_runs

# Size of the drawing in units of its view box. The page scales it to its width.
CURVE_WIDTH_UNITS, CURVE_HEIGHT_UNITS = 760, 200
# Margins around the curves, units: the left one holds labels of values as long as 0.00813, the
# lower one times.
CURVE_MARGIN_LEFT, CURVE_MARGIN_RIGHT, CURVE_MARGIN_TOP, CURVE_MARGIN_BOTTOM = 60, 12, 12, 26
# Most points of a curve: one per unit of width, so that more would not be visible.
MAX_CURVE_COLUMNS = CURVE_WIDTH_UNITS - CURVE_MARGIN_LEFT - CURVE_MARGIN_RIGHT
# Height of the plot area, units.
_PLOT_HEIGHT = CURVE_HEIGHT_UNITS - CURVE_MARGIN_TOP - CURVE_MARGIN_BOTTOM
# Horizontal grid lines, as fractions of the largest value.
_GRID_FRACTIONS = (0.0, 0.5, 1.0)


@dataclass(frozen=True)
class _PlotAxes:
    """Map columns and values to positions in the drawing.

    Attributes:
        column_width: width of a column, units.
        largest_value: value at the upper edge of the plot.
    """

    column_width: float
    largest_value: float

    def x_from_column(self, column: float) -> float:
        return CURVE_MARGIN_LEFT + column * self.column_width

    def y_from_value(self, value: float) -> float:
        bottom = CURVE_HEIGHT_UNITS - CURVE_MARGIN_BOTTOM
        return bottom - value / self.largest_value * _PLOT_HEIGHT


def render_curves_svg(
    track: Track,
    curves: Mapping[str, NDArray[np.float64]],
    shaded: NDArray[np.bool_] | None = None,
    dotted: Collection[str] = (),
) -> str:
    """Draw measures of every frame over time.

    With more frames than columns, a column shows the largest value of its frames, so that a single
    bad frame stays visible. Flagged frames are shaded, cuts are dashed lines. Colors are CSS
    variables of the page.

    Args:
        track: track of N frames, for flags, shots and times.
        curves: values of one unit, by name; the last curve is drawn on top. NaN leaves a gap. [N]
            each
        shaded: True for each frame that is shaded; None shades the flagged ones. [N]
        dotted: names of curves that are drawn with dots.

    Returns:
        SVG; "" for a track without frames.
    """
    if not len(track):
        return ""
    num_columns = min(MAX_CURVE_COLUMNS, len(track))
    columns = {name: _column_maxima(values, num_columns) for name, values in curves.items()}
    finite = np.concatenate([values[np.isfinite(values)] for values in columns.values()])
    largest_value = float(finite.max()) if len(finite) else 1.0
    axes = _PlotAxes(
        (CURVE_WIDTH_UNITS - CURVE_MARGIN_LEFT - CURVE_MARGIN_RIGHT) / num_columns,
        max(largest_value, 1e-9),
    )
    # SVG draws in order: background first, curves over it.
    return "".join(
        [
            f'<svg class="curve" viewBox="0 0 {CURVE_WIDTH_UNITS} {CURVE_HEIGHT_UNITS}" '
            f'role="img" aria-label="{", ".join(curves)} by frame">',
            *_draw_flags_and_cuts(track, shaded, axes, num_columns),
            *_draw_grid(axes),
            *_draw_curves(columns, axes, dotted),
            _draw_times(track),
        ]
    )


def _draw_flags_and_cuts(
    track: Track, shaded: NDArray[np.bool_] | None, axes: _PlotAxes, num_columns: int
) -> Iterator[str]:
    """Shade the columns with flagged frames and draw a line where a shot begins."""
    # A column is shaded if one of its frames is.
    frames = track.flags != 0 if shaded is None else shaded
    flagged = _column_maxima(frames.astype(np.float64), num_columns) > 0
    for start, stop in iterate_runs(flagged):
        yield (
            f'<rect class="flag" x="{axes.x_from_column(start):.1f}" y="{CURVE_MARGIN_TOP}" '
            f'width="{(stop - start) * axes.column_width:.1f}" height="{_PLOT_HEIGHT}"/>'
        )
    # Several cuts in one column are one line.
    for column in np.unique((np.flatnonzero(np.diff(track.shot)) + 1) * num_columns // len(track)):
        x = axes.x_from_column(column)
        yield (
            f'<line class="cut" x1="{x:.1f}" x2="{x:.1f}" y1="{CURVE_MARGIN_TOP}" '
            f'y2="{CURVE_HEIGHT_UNITS - CURVE_MARGIN_BOTTOM}"/>'
        )


def _draw_grid(axes: _PlotAxes) -> Iterator[str]:
    """Draw horizontal lines, each labeled with its value."""
    for fraction in _GRID_FRACTIONS:
        value = fraction * axes.largest_value
        y = axes.y_from_value(value)
        yield (
            f'<line class="grid" x1="{CURVE_MARGIN_LEFT}" '
            f'x2="{CURVE_WIDTH_UNITS - CURVE_MARGIN_RIGHT}" y1="{y:.1f}" '
            f'y2="{y:.1f}"/><text x="{CURVE_MARGIN_LEFT - 6}" y="{y + 4:.1f}" '
            f'text-anchor="end">{value:.3g}</text>'
        )


def _draw_curves(
    columns: Mapping[str, NDArray[np.float64]], axes: _PlotAxes, dotted: Collection[str]
) -> Iterator[str]:
    """Draw every curve as lines, one per run of finite values."""
    for index, (name, values) in enumerate(columns.items()):
        dots = ' stroke-dasharray="1.5 3"' if name in dotted else ""
        # The last curve stands out from the others.
        css_class = "line" if index == len(columns) - 1 else "other"
        for start, stop in iterate_runs(np.isfinite(values)):
            points = " ".join(
                f"{axes.x_from_column(column + 0.5):.1f},{axes.y_from_value(values[column]):.1f}"
                for column in range(start, stop)
            )
            yield f'<polyline class="{css_class}"{dots} points="{points}"/>'


def _draw_times(track: Track) -> str:
    """Write the times of the first and the last frame below the plot, and end the drawing."""
    first, last = float(track.times[0]), float(track.times[-1])
    y = CURVE_HEIGHT_UNITS - 8
    return (
        f'<text x="{CURVE_MARGIN_LEFT}" y="{y}">{first:.1f} s</text>'
        f'<text x="{CURVE_WIDTH_UNITS - CURVE_MARGIN_RIGHT}" y="{y}" text-anchor="end">'
        f"{last:.1f} s</text></svg>"
    )


def _column_maxima(values: NDArray[np.float64], num_columns: int) -> NDArray[np.float64]:
    """Find the largest value of each column's frames, NaN without a finite value. [columns]"""
    starts = np.arange(num_columns) * len(values) // num_columns
    filled = np.where(np.isfinite(values), values, -np.inf)
    largest = np.maximum.reduceat(filled, starts)
    return np.where(np.isfinite(largest), largest, np.nan)
