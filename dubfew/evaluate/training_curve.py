"""A training curve as inline SVG."""

from __future__ import annotations

import math
from collections.abc import Sequence

# Size of the drawing, px: as wide as a report's text column.
SVG_WIDTH_PX, SVG_HEIGHT_PX = 640, 240
# Margins around the curve, px; the labels of the axes stand in the left and the bottom one.
MARGIN_LEFT_PX, MARGIN_RIGHT_PX, MARGIN_TOP_PX, MARGIN_BOTTOM_PX = 56, 16, 16, 36
# Smallest range of the vertical axis, dB: noise of a flat curve is not drawn as mountains.
MIN_SPAN_DB = 0.1


def draw_training_curve(curve: Sequence[tuple[int, float, float]]) -> str:
    """Draw the held-out PSNR over training steps, to be put inside an HTML page.

    Colors come from the page's CSS variables, so that they fit light and dark pages. No external
    resource is needed.

    Args:
        curve: rows of step, seconds since the start, and PSNR in dB, in order; rows without a
            finite PSNR are left out.

    Returns:
        An ``<svg>`` element, or an empty string with fewer than two points.

    Example:
        >>> draw_training_curve([(0, 0.0, 20.0)])
        ''
        >>> draw_training_curve([(0, 0.0, 20.0), (10, 5.0, 21.0)])[:4]
        '<svg'
    """
    points = [(step, seconds, psnr) for step, seconds, psnr in curve if math.isfinite(psnr)]
    if len(points) < 2:
        return ""
    steps, values = [p[0] for p in points], [p[2] for p in points]
    # At least one step wide, so that nothing is divided by 0.
    low_x, high_x = min(steps), max(max(steps), min(steps) + 1)
    ticks = _choose_ticks(min(values), max(values))
    low_y, high_y = ticks[0], ticks[-1]

    # From steps and dB to px; y points down in SVG.
    def x(step: float) -> float:
        return MARGIN_LEFT_PX + (step - low_x) / (high_x - low_x) * (
            SVG_WIDTH_PX - MARGIN_LEFT_PX - MARGIN_RIGHT_PX
        )

    def y(value: float) -> float:
        return (
            SVG_HEIGHT_PX
            - MARGIN_BOTTOM_PX
            - (value - low_y)
            / (high_y - low_y)
            * (SVG_HEIGHT_PX - MARGIN_TOP_PX - MARGIN_BOTTOM_PX)
        )

    # Grid lines with their labels in dB.
    parts = [
        f'<svg class="curve" viewBox="0 0 {SVG_WIDTH_PX} {SVG_HEIGHT_PX}" role="img" '
        f'aria-label="PSNR on held-out frames over training steps">'
    ]
    for tick in ticks:
        parts.append(
            f'<line class="grid" x1="{MARGIN_LEFT_PX}" x2="{SVG_WIDTH_PX - MARGIN_RIGHT_PX}" '
            f'y1="{y(tick):.1f}" y2="{y(tick):.1f}"/>'
            f'<text x="{MARGIN_LEFT_PX - 8}" y="{y(tick) + 4:.1f}" '
            f'text-anchor="end">{tick:g}</text>'
        )
    # The curve, and a dot with a tooltip at every point.
    line = " ".join(f"{x(step):.1f},{y(psnr):.1f}" for step, _, psnr in points)
    parts.append(f'<polyline class="line" points="{line}"/>')
    for step, seconds, psnr in points:
        parts.append(
            f'<circle class="dot" cx="{x(step):.1f}" cy="{y(psnr):.1f}" r="3">'
            f"<title>step {step}, {seconds:.0f} s: {psnr:.2f} dB</title></circle>"
        )
    # First and last step under the axis, with the time that the training took.
    last_step, last_seconds, _ = points[-1]
    parts.append(
        f'<text x="{MARGIN_LEFT_PX}" y="{SVG_HEIGHT_PX - 10}">step {points[0][0]}</text>'
        f'<text x="{SVG_WIDTH_PX - MARGIN_RIGHT_PX}" y="{SVG_HEIGHT_PX - 10}" text-anchor="end">'
        f"step {last_step}, {last_seconds:.0f} s</text></svg>"
    )
    return "".join(parts)


def _choose_ticks(low: float, high: float) -> list[float]:
    """Choose about four round numbers from below ``low`` to above ``high``."""
    span = max(high - low, MIN_SPAN_DB)
    rough = span / 3
    unit = 10 ** math.floor(math.log10(rough))
    step = next(unit * k for k in (1, 2, 5, 10) if unit * k >= rough)
    first = math.floor(low / step)
    last = max(math.ceil(high / step), first + 1)
    return [round(k * step, 10) for k in range(first, last + 1)]
