"""A drawn cavity behind the lips, for what none of an actor's references shows.

An actor whose seconds show closed lips alone must still be able to open the mouth. What is drawn
then is a guess from many people: a small network says which part lies where, the dark, flesh or
teeth, and of which color each is (`dubfew.references.cavity_parts`). People's teeth do not lie in
the same places, so its teeth have no edges; a drawing of teeth one by one and of the tongue
(`draw_part_shapes`) gives them. The drawing has a say in what shows where, colors are the
network's. Open mouths of the actor's own correct both.
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
from dubfew.utils.arrays import FloatArray

# Exponent of the network's probabilities. With 1 parts are mixed to milk, with 6 a place where two
# parts are equally likely flips between them.
PART_SHARPNESS = 1.5
# Probability of a part where the drawing has none of it, relative to where it has it alone. With
# less the teeth are a denture, whatever the network says; with more they lose their edges.
UNDRAWN_PART = 0.3
# Windows that correct the network, those with the widest openings, and places looked at in each,
# across and down.
CORRECTING_WINDOWS, PLACES_ACROSS, PLACES_DOWN = 12, 24, 12
# Part of the mouth's half width on both sides of the middle that is looked at: in the corners a
# pixel is half lip.
LOOKED_AT = 0.85

# The drawn shapes. Lengths are in inter-ocular distances (about 90 mm).
#
# Half width of the tongue, and the part of the opening, from the top, in which it rises.
TONGUE_HALF_WIDTH = 0.24
TONGUE_RISE = (0.45, 0.95)
# How much of the upper teeth shows below the lip, at rest and in a full smile, and of the lower
# teeth above the lip.
UPPER_TEETH_SHOWN, LOWER_TEETH_SHOWN = (0.04, 0.11), 0.04
# Half widths of the mouth at which a smile begins and is full: speech stays below the first.
SMILE_RANGE = (0.25, 0.33)
# Part of the opening that the upper teeth cover at most: they never close it.
MAX_UPPER_COVER = 0.6
# Widest openings at which lower teeth begin to show and show as a whole.
LOWER_TEETH_RANGE = (0.10, 0.35)
# How far a row of teeth follows the curve of the lip before it; the rest is straight.
LIP_FOLLOWED = 0.5
# Crown widths from the middle outwards: adults' means.
UPPER_CROWN_WIDTHS = (0.096, 0.076, 0.086, 0.078, 0.076, 0.109)
LOWER_CROWN_WIDTHS = (0.059, 0.066, 0.076, 0.078, 0.080, 0.117)
# Radius of the dental arch at its front.
DENTAL_ARCH_RADIUS = 0.30
# Half width of the soft edge of a tooth.
TOOTH_EDGE = 0.008
# Distances along the arch between which teeth darken towards the cheeks, and by how much. The
# network's colors are darker there already.
CHEEK_SHADE_RANGE, CHEEK_SHADE = (0.12, 0.36), 0.15
# How dark the gaps between two upper and two lower teeth are. Without them a row is a gray band; of
# the lower teeth so little shows that dark gaps would be a row of beads.
UPPER_GAP_SHADE, LOWER_GAP_SHADE = 0.3, 0.1
# Shine on the middle of an upper and of a lower tooth, as a part of the tooth's own brightness, and
# its half sizes in those of a tooth, across and down: wet and round, teeth mirror the light.
UPPER_SHINE, LOWER_SHINE, SHINE_SIZE = 0.4, 0.0, (0.7, 0.3)
# Brightness of teeth where the drawing has none, as a factor: what the network still takes for
# teeth below a tooth's edge lies behind it, in its shadow, and would make it a longer one.
SHADE_BEHIND = 0.7
# The lips' shadow: how dark at the lip, and how far it reaches. Most of it is in the network.
LIP_SHADOW, LIP_SHADOW_REACH = 0.1, 0.012


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


def draw_cavity(points: CavityPoints, colors: MouthColors) -> FloatArray:
    """Draw what lies behind the lips.

    Args:
        points: places between the lips.
        colors: colors around the actor's mouth.

    Returns:
        RGB, 0 to 1. [N, 3]
    """
    log_odds, part_colors = load_cavity_parts().predict(points, colors)
    shapes, shade, shine = draw_part_shapes(points)
    log_odds = PART_SHARPNESS * log_odds + np.log(shapes + UNDRAWN_PART)
    share = np.exp(log_odds - log_odds.max(1, keepdims=True))
    share /= share.sum(1, keepdims=True)
    # What is mirrored has the color of the light, not that of the tooth.
    mirrored = shine * part_colors[:, TEETH].mean(1)
    part_colors[:, TEETH] = part_colors[:, TEETH] * shade[:, None] + mirrored[:, None]
    nearest_lip = np.maximum(np.minimum(points.below_lip, points.above_lip), 0)
    shadow = 1 - LIP_SHADOW * np.exp(-nearest_lip / LIP_SHADOW_REACH)
    return ((share[:, :, None] * part_colors).sum(1) * shadow[:, None]).astype(np.float32)


def draw_part_shapes(points: CavityPoints) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Draw the dark, the tongue, and the lower and upper teeth, from the back to the front.

    Args:
        points: places between the lips.

    Returns:
        Opacity of the dark, of flesh and of teeth, whose sum is 1 [N, 3]; brightness of the teeth
        as a factor [N]; their shine, as a part of their brightness [N].
    """
    # The tongue lies on the lower teeth.
    tongue = smoothstep(*TONGUE_RISE, points.heights) * np.sqrt(
        np.clip(1 - (points.across / TONGUE_HALF_WIDTH) ** 2, 0, 1)
    )
    upper_edge, lower_edge = points.middle_edges
    middle_opening = lower_edge - upper_edge
    rest, full = UPPER_TEETH_SHOWN
    smile = float(smoothstep(*SMILE_RANGE, np.array(points.half_width)))
    upper_shown = min(rest + smile * (full - rest), MAX_UPPER_COVER * middle_opening)
    lower_shown = LOWER_TEETH_SHOWN * float(
        smoothstep(*LOWER_TEETH_RANGE, np.array(middle_opening))
    )
    teeth, shine = np.zeros_like(tongue), np.zeros_like(tongue)
    brightness = np.full_like(tongue, SHADE_BEHIND)
    for from_lip, from_middle, shown, widths, gap_shade, tooth_shine in (
        (
            points.above_lip,
            lower_edge - points.down,
            lower_shown,
            LOWER_CROWN_WIDTHS,
            LOWER_GAP_SHADE,
            LOWER_SHINE,
        ),
        (
            points.below_lip,
            points.down - upper_edge,
            upper_shown,
            UPPER_CROWN_WIDTHS,
            UPPER_GAP_SHADE,
            UPPER_SHINE,
        ),
    ):
        from_gum = LIP_FOLLOWED * from_lip + (1 - LIP_FOLLOWED) * from_middle
        opacity, shade, light = _draw_teeth(points.across, from_gum, shown, widths, gap_shade)
        teeth = teeth + opacity * (1 - teeth)
        brightness = brightness + opacity * (shade - brightness)
        shine = shine + opacity * (tooth_shine * light - shine)
    shapes = np.empty((len(tongue), 3), np.float32)
    shapes[:, DARK], shapes[:, FLESH] = (1 - teeth) * (1 - tongue), (1 - teeth) * tongue
    shapes[:, TEETH] = teeth
    return shapes, brightness.astype(np.float32), shine.astype(np.float32)


def _draw_teeth(
    across: NDArray,  # [N]
    from_gum: NDArray,  # [N]
    shown: float,
    widths: tuple[float, ...],
    gap_shade: float,
) -> tuple[NDArray, NDArray, NDArray]:
    """Draw one row of teeth of which ``shown`` shows; opacity, brightness and shine. [N] each"""
    if shown <= 0:
        return np.zeros_like(across), np.ones_like(across), np.zeros_like(across)
    # The arch is round: teeth at the side are seen from the side, narrower and darker.
    along = DENTAL_ARCH_RADIUS * np.arcsin(np.clip(np.abs(across) / DENTAL_ARCH_RADIUS, 0, 0.999))
    edges = np.concatenate([[0], np.cumsum(widths)])
    tooth = np.clip(np.searchsorted(edges, along, side="right") - 1, 0, len(widths) - 1)
    place = np.clip((along - edges[tooth]) / np.asarray(widths)[tooth], 0, 1) * 2 - 1
    # The second tooth is shorter, so are those behind the canine; corners are rounded.
    length = shown * (1 - 0.10 * (tooth == 1) - 0.10 * np.maximum(tooth - 2, 0))
    length = length - 0.25 * min(shown, 0.04) * place**6
    opacity = smoothstep(TOOTH_EDGE, -TOOTH_EDGE, from_gum - length) * (along < edges[-1])
    # The gaps between teeth are dark.
    cheeks = 1 - CHEEK_SHADE * smoothstep(*CHEEK_SHADE_RANGE, along)
    wide, high = SHINE_SIZE
    shine = cheeks * np.exp(-((place / wide) ** 2) - ((from_gum / shown - 0.5) / high) ** 2)
    return opacity, (1 - gap_shade * place**8) * cheeks, shine


def smoothstep(begin: float, end: float, value: NDArray) -> NDArray:
    """Rise smoothly from 0 at ``begin`` to 1 at ``end``, which may be the smaller one.

    Args:
        begin: value at which the result leaves 0.
        end: value at which it reaches 1; not ``begin``.
        value: numbers of any shape.
    """
    t = np.clip((value - begin) / (end - begin), 0, 1)
    return t * t * (3 - 2 * t)
