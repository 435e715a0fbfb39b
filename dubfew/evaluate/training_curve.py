"""A training curve as inline SVG."""

from __future__ import annotations

import math
from collections.abc import Sequence

SVG_WIDTH_PX, SVG_HEIGHT_PX = 640, 240
MARGIN_LEFT_PX, MARGIN_RIGHT_PX, MARGIN_TOP_PX, MARGIN_BOTTOM_PX = 56, 16, 16, 36


def draw_training_curve(curve: Sequence[tuple[int, float, float]]) -> str:
    """Held-out PSNR over training steps, to be put inside an HTML page.

    Colours come from the page's CSS variables, so it is right in light and dark. Needs no
    external resource.

    Args:
        curve: (step, seconds since the start, PSNR in dB), in order; rows that are not finite
            are left out.

    Returns:
        An ``<svg>`` element, or an empty string with fewer than two points.
    """
    points = [(step, seconds, psnr) for step, seconds, psnr in curve if math.isfinite(psnr)]
    if len(points) < 2:
        return ""
    steps, values = [p[0] for p in points], [p[2] for p in points]
    low_x, high_x = min(steps), max(max(steps), min(steps) + 1)
    ticks = _choose_ticks(min(values), max(values))
    low_y, high_y = ticks[0], ticks[-1]

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
    line = " ".join(f"{x(step):.1f},{y(psnr):.1f}" for step, _, psnr in points)
    parts.append(f'<polyline class="line" points="{line}"/>')
    for step, seconds, psnr in points:
        parts.append(
            f'<circle class="dot" cx="{x(step):.1f}" cy="{y(psnr):.1f}" r="3">'
            f"<title>step {step}, {seconds:.0f} s: {psnr:.2f} dB</title></circle>"
        )
    last_step, last_seconds, _ = points[-1]
    parts.append(
        f'<text x="{MARGIN_LEFT_PX}" y="{SVG_HEIGHT_PX - 10}">step {points[0][0]}</text>'
        f'<text x="{SVG_WIDTH_PX - MARGIN_RIGHT_PX}" y="{SVG_HEIGHT_PX - 10}" text-anchor="end">'
        f"step {last_step}, {last_seconds:.0f} s</text></svg>"
    )
    return "".join(parts)


def _choose_ticks(low: float, high: float) -> list[float]:
    """Round numbers from below ``low`` to above ``high``, about four of them."""
    span = max(high - low, 0.1)
    rough = span / 3
    unit = 10 ** math.floor(math.log10(rough))
    step = next(unit * k for k in (1, 2, 5, 10) if unit * k >= rough)
    first = math.floor(low / step)
    last = max(math.ceil(high / step), first + 1)
    return [round(k * step, 10) for k in range(first, last + 1)]
