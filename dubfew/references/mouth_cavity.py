"""A drawn cavity behind the lips, for what none of an actor's references shows.

An actor whose seconds show closed lips alone must still be able to open the mouth. What is drawn
then is a guess from many people: a small network says which part lies where, the dark, flesh or
teeth, and of which color each is (`dubfew.references.cavity_parts`). People's teeth do not lie in
the same places, so its teeth have no edges: teeth are drawn one by one
(`dubfew.references.tooth_rows`) where the network finds a row likely, in one color of the
network's, and between them the back, dark or flesh, falls off smoothly. A half tone of teeth and
dark is seen at once, and nowhere drawn. Open mouths of the actor's own correct the network.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from dubfew.references.cavity_parts import (
    DARK,
    FLESH,
    TEETH,
    CavityPoints,
    MouthColors,
    fit_part_correction,
    load_cavity_parts,
)
from dubfew.references.mouth_opening import (
    LIP_DEPTH,
    MIN_LENGTH,
    MouthOpening,
    find_gap,
    sample_nearest,
)
from dubfew.references.teeth import MIN_HEIGHT_PX
from dubfew.references.tooth_rows import CORNER_RANGE, ToothRow, draw_tooth_rows
from dubfew.utils.arrays import FloatArray
from dubfew.utils.smoothstep import smoothstep

# Windows that correct the network, those with the widest openings, and places looked at in each,
# across and down.
CORRECTING_WINDOWS, PLACES_ACROSS, PLACES_DOWN = 12, 24, 12
# Part of the mouth's half width on both sides of the middle that is looked at: in the corners a
# pixel is half lip.
LOOKED_AT = 0.85

# The drawn shapes. Lengths are in inter-ocular distances (about 90 mm).
#
# Half width of the tongue, and the part of the opening, from the top, in which it rises.
TONGUE_HALF_WIDTH, TONGUE_RISE = 0.26, (0.15, 0.55)
# Probability of dark and of flesh where the drawing has none, relative to where it has it alone.
UNDRAWN_PART = 0.2
# Probability of teeth outside of the drawn rows from which they show there, and show alone: less
# is no place for teeth but the doubt of a network about their length.
SURE_TEETH = (0.7, 0.95)
# Brightness of such teeth, as a factor: they lie behind the others.
SURE_LIGHT = 0.7
# Shade of what lies behind the upper teeth: how dark beside their tips, and how far it reaches.
BEHIND_SHADE, BEHIND_REACH = 0.6, 0.05
# The part of it behind teeth of the actor's own, which end elsewhere than the drawn ones.
OWN_TEETH_SHADE = 0.5
# Light that reaches the back of a mouth that is hardly open, as a factor, openings from which on it
# gets lighter and is light, and how many times likelier the tongue is there.
BACK_LIGHT, LIT_OPENINGS, TONGUE_IN_WIDE = 0.72, (0.15, 0.24), 8.0
# Darkest color, as a factor on that of the darkest row between the lips that the actor showed:
# where the light reaches between closed lips, nothing is black in open ones.
DARKEST_OVER_GAP = 0.4
# Exponents of a shade in red, green and blue: light in the shade has been thrown back by flesh.
SHADE_EXPONENTS = np.array([0.75, 1.15, 1.2], np.float32)
# The same for teeth, which scatter light themselves.
TOOTH_SHADE_EXPONENTS = np.array([0.9, 1.05, 1.15], np.float32)
# How dark the corners of the mouth are.
CORNER_SHADE = 0.75


def measure_mouth_colors(
    windows: Iterable[tuple[NDArray[np.uint8], FloatArray, FloatArray, float]],
    *,
    inside: bool = True,
) -> MouthColors:
    """Measure the colors around a mouth, the median of some windows, and what its inside shows.

    Args:
        windows: of each window the image [S, S, 3], the inner edge of the lips [20, 2] and points
            on the cheeks [N, 2], both -1 to 1, and the inter-ocular distance in the same unit.
        inside: whether open mouths correct the network.
    """
    found, heights, seen = [], [], []
    for image, ring, cheeks, eye_distance in windows:
        opening = MouthOpening.from_ring(ring)
        across = opening.spread_across(0.4, 9)
        upper, lower = opening.edge_heights(across)
        depth = LIP_DEPTH * opening.half_width
        lips = [
            np.median(sample_nearest(image, opening.from_axes(np.stack([across, down], 1))), 0)
            for down in (lower + depth, upper - depth)
        ]
        found.append(
            [*lips, find_gap(image, opening).color, np.median(sample_nearest(image, cheeks), 0)]
        )
        height = float((lower - upper).mean())
        # In a lower opening a row of pixels is half lip.
        if inside and height * len(image) / 2 >= MIN_HEIGHT_PX:
            heights.append(height / eye_distance)
            seen.append(_look_inside(image, opening, eye_distance))
    colors = MouthColors(*np.median(np.array(found, np.float32), 0))
    widest = np.argsort(-np.array(heights), kind="stable")[:CORRECTING_WINDOWS]
    return replace(colors, correction=fit_part_correction((seen[i] for i in widest), colors))


def _look_inside(
    image: NDArray[np.uint8], opening: MouthOpening, eye_distance: float
) -> tuple[CavityPoints, FloatArray]:
    """Look up colors, 0 to 255, at places spread over an opening."""
    across = opening.spread_across(LOOKED_AT, PLACES_ACROSS)
    upper, lower = opening.edge_heights(across)
    down = upper + (np.arange(PLACES_DOWN)[:, None] + 0.5) / PLACES_DOWN * np.maximum(
        lower - upper, MIN_LENGTH
    )
    points = np.stack([np.broadcast_to(across, down.shape), down], -1).reshape(-1, 2)
    described = CavityPoints.from_opening(opening, points, eye_distance)
    return described, sample_nearest(image, opening.from_axes(points))


def draw_cavity(
    points: CavityPoints,
    colors: MouthColors,
    *,
    teeth_opacity: float = 1.0,
    gap: FloatArray | None = None,
    gap_weight: float = 0.0,
) -> FloatArray:
    """Draw what lies behind the lips: the back of the mouth, before it two rows of teeth.

    Args:
        points: places between the lips.
        colors: colors around the actor's mouth.
        teeth_opacity: how far teeth are drawn, 0 to 1: where an actor's own are shown, nothing but
            the back is missing.
        gap: color between teeth of the actor's own, RGB 0 to 255, if it was seen. [3]
        gap_weight: how far the back has this color, 0 to 1.

    Returns:
        RGB, 0 to 1. [N, 3]
    """
    log_odds, part_colors = load_cavity_parts().predict(points, colors)
    likely = np.exp(log_odds)
    upper, lower = draw_tooth_rows(points, likely[:, TEETH])
    teeth = part_colors[:, TEETH]
    seen = np.zeros(3, np.float32) if gap is None else gap / 255
    shade = BEHIND_SHADE * (OWN_TEETH_SHADE + (1 - OWN_TEETH_SHADE) * teeth_opacity)
    drawn = _draw_back(points, colors, upper, likely, part_colors, (seen, gap_weight), shade)
    sure = teeth_opacity * smoothstep(*SURE_TEETH, likely[:, TEETH])[:, None]
    drawn = drawn + sure * (SURE_LIGHT * teeth - drawn)
    # A tooth has one color; what differs from place to place is how much light it gets.
    for row in (lower, upper):
        weight = row.opacity * likely[:, TEETH]
        total = float(weight.sum())
        if total < MIN_LENGTH:
            continue
        tone = (weight @ teeth) / total
        shown = teeth_opacity * row.opacity
        drawn = drawn + shown[:, None] * (
            row.light[:, None] ** TOOTH_SHADE_EXPONENTS * tone - drawn
        )
    return np.clip(drawn, 0, 1).astype(np.float32)


def _draw_back(
    points: CavityPoints,
    colors: MouthColors,
    upper: ToothRow,
    likely: FloatArray,
    part_colors: FloatArray,
    seen: tuple[FloatArray, float],
    behind_shade: float,
) -> FloatArray:
    """Draw the dark and the flesh, or what was seen, shaded below the upper teeth. [N, 3]"""
    tongue = smoothstep(*TONGUE_RISE, points.heights) * np.sqrt(
        np.clip(1 - (points.across / TONGUE_HALF_WIDTH) ** 2, 0, 1)
    )
    # The wider a mouth, the more light reaches the tongue.
    upper_edge, lower_edge = points.middle_edges
    wide = float(smoothstep(*LIT_OPENINGS, np.array(lower_edge - upper_edge)))
    shapes = np.stack([1 - tongue, tongue * (1 + TONGUE_IN_WIDE * wide)], 1) + UNDRAWN_PART
    odds = shapes * likely[:, [DARK, FLESH]]
    # Between them a mixture is what is seen: a tongue in the shade.
    odds = odds / np.maximum(odds.sum(1, keepdims=True), 1e-9)
    back = (odds[:, :, None] * part_colors[:, [DARK, FLESH]]).sum(1)
    back = back * (BACK_LIGHT + (1 - BACK_LIGHT) * wide)
    color, weight = seen
    back = back + weight * (color - back)
    shade = 1 - behind_shade * np.exp(-np.abs(upper.beyond) / BEHIND_REACH)
    side = smoothstep(*CORNER_RANGE, np.abs(points.across) / points.half_width)
    # What is lit by flesh alone is redder.
    back = back * (shade * (1 - CORNER_SHADE * side))[:, None] ** SHADE_EXPONENTS
    return np.maximum(back, DARKEST_OVER_GAP * colors.gap / 255)
