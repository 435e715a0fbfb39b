"""Two rows of drawn teeth, one tooth beside the other, as light falls on them.

Lengths are in inter-ocular distances (about 90 mm).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dubfew.references.cavity_parts import CavityPoints
from dubfew.references.mouth_opening import MIN_LENGTH
from dubfew.utils.arrays import FloatArray
from dubfew.utils.smoothstep import smoothstep

# How much of the upper teeth shows below the lip, at rest and in a full smile, and of the lower
# teeth above the lip.
UPPER_TEETH_SHOWN, LOWER_TEETH_SHOWN = (0.04, 0.11), 0.04
# Half widths of the mouth at which a smile begins and is full: speech stays below the first.
SMILE_RANGE = (0.22, 0.32)
# Part of the opening that the upper teeth cover at most in speech: they never close it.
MAX_UPPER_COVER = 0.6
# Widest openings at which lower teeth begin to show and show as a whole.
LOWER_TEETH_RANGE = (0.10, 0.35)
# How far a row of teeth follows the curve of the lip before it; the rest is straight.
LIP_FOLLOWED = 0.5
# Crown widths from the middle outwards: adults' means.
UPPER_CROWN_WIDTHS = (0.096, 0.076, 0.086, 0.078, 0.076, 0.109)
LOWER_CROWN_WIDTHS = (0.059, 0.066, 0.076, 0.078, 0.080, 0.117)
# Mean probability of teeth before a lip at which its row begins to show and shows as a whole, and
# the part of the opening, from the lip, and of its width that is looked at. An unlikely row is
# short: half transparent it would be gray.
ROW_PRESENCE, PRESENCE_HEIGHT, PRESENCE_WIDTH = (0.2, 0.5), 0.35, 0.6
# Radius of the dental arch at its front.
DENTAL_ARCH_RADIUS = 0.30
# Half width of the soft edge of a tooth.
TOOTH_EDGE = 0.018
# Distances along the arch between which teeth darken towards the cheeks, and what is left of their
# brightness there: light hardly reaches the corners of a mouth.
CHEEK_SHADE_RANGE, CHEEK_LIGHT = (0.10, 0.30), 0.35
# Places along the mouth, in half widths, between which teeth give way to the dark corner.
CORNER_RANGE = (0.5, 0.85)
# How dark the gaps between two upper and two lower teeth are, and their half width. Of the lower
# teeth so little shows that dark gaps would be a row of beads.
UPPER_GAP_SHADE, LOWER_GAP_SHADE, TOOTH_GAP = 0.16, 0.10, 0.010
# How much teeth vary in length and brightness, and the variations in turn, -1 to 1.
TOOTH_VARIATION = 0.05
VARIED = np.array([0.2, -0.3, -0.8, 0.5, 0.9, -0.5, -1.0, 0.3, 0.6, 1.0, -0.6, -0.2])
# Brightness of the upper teeth at the lip, which shades them, and at their tips, as factors, and
# distance from the lip in which the shadow fades.
LIP_SHADE, TIP_SHADE, LIP_SHADE_REACH = 0.86, 0.95, 0.025
# Shine on the middle of a tooth, as a part of its brightness; its place between gum and tip, and
# its half sizes in those of a tooth, across and down: wet and round, teeth mirror the light.
SHINE, SHINE_PLACE, SHINE_SIZE = 0.12, 0.55, (0.5, 0.3)


@dataclass(frozen=True)
class ToothRow:
    """One row of drawn teeth.

    Attributes:
        opacity: how far teeth cover each place, 0 to 1. [N]
        light: brightness of the teeth there, as a factor. [N]
        beyond: distance beyond the row, which is as straight as a row is without its single teeth.
            [N]
    """

    opacity: FloatArray
    light: FloatArray
    beyond: FloatArray


def draw_tooth_rows(points: CavityPoints, likely: FloatArray) -> tuple[ToothRow, ToothRow]:
    """Draw the upper and the lower row of teeth, one tooth beside the other.

    Args:
        points: places between the lips.
        likely: probability of teeth at each place, 0 to 1. [N]
    """
    upper_edge, lower_edge = points.middle_edges
    middle_opening = lower_edge - upper_edge
    rest, full = UPPER_TEETH_SHOWN
    smile = float(smoothstep(*SMILE_RANGE, np.array(points.half_width)))
    # Teeth that are seen in a smile reach behind the lower lip.
    cover = MAX_UPPER_COVER + smile * (1 - MAX_UPPER_COVER)
    upper_shown = min(rest + smile * (full - rest), cover * middle_opening)
    lower_shown = LOWER_TEETH_SHOWN * float(
        smoothstep(*LOWER_TEETH_RANGE, np.array(middle_opening))
    )
    middle = np.abs(points.across) < PRESENCE_WIDTH * points.half_width
    upper_shown *= _rate_presence(likely[middle & (points.heights < PRESENCE_HEIGHT)])
    lower_shown *= _rate_presence(likely[middle & (points.heights > 1 - PRESENCE_HEIGHT)])
    corner = 1 - smoothstep(*CORNER_RANGE, np.abs(points.across) / points.half_width)
    upper = _draw_teeth(
        points.across,
        _mix_edges(points.below_lip, points.down - upper_edge),
        upper_shown,
        UPPER_CROWN_WIDTHS,
        UPPER_GAP_SHADE,
        corner,
    )
    lower = _draw_teeth(
        points.across,
        _mix_edges(points.above_lip, lower_edge - points.down),
        lower_shown,
        LOWER_CROWN_WIDTHS,
        LOWER_GAP_SHADE,
        corner,
    )
    return upper, lower


def _rate_presence(likely: FloatArray) -> float:
    """Rate how far a row of teeth shows, 0 to 1, by its probability near the lip [M]."""
    return float(smoothstep(*ROW_PRESENCE, likely.mean())) if len(likely) else 0.0


def _mix_edges(from_lip: NDArray, from_middle: NDArray) -> NDArray:
    """Return distances from a row's gum line, which follows the lip's curve in part. [N]"""
    return LIP_FOLLOWED * from_lip + (1 - LIP_FOLLOWED) * from_middle


def _draw_teeth(
    across: NDArray,  # [N]
    from_gum: NDArray,  # [N]
    shown: float,
    widths: tuple[float, ...],
    gap_shade: float,
    corner: NDArray,  # [N]
) -> ToothRow:
    """Draw one row of teeth of which ``shown`` shows."""
    if shown <= 0:
        nothing = np.zeros(len(across), np.float32)
        return ToothRow(nothing, nothing + 1, from_gum.astype(np.float32))
    # The arch is round: teeth at the side are seen from the side, narrower and darker.
    along = DENTAL_ARCH_RADIUS * np.arcsin(np.clip(np.abs(across) / DENTAL_ARCH_RADIUS, 0, 0.999))
    edges = np.concatenate([[0], np.cumsum(widths)])
    tooth = np.clip(np.searchsorted(edges, along, side="right") - 1, 0, len(widths) - 1)
    width = np.asarray(widths)[tooth]
    place = np.clip((along - edges[tooth]) / width, 0, 1) * 2 - 1
    # The second tooth is shorter, so are those behind the canine; corners are rounded.
    length = shown * (1 - 0.10 * (tooth == 1) - 0.10 * np.maximum(tooth - 2, 0))
    length = length * (1 + TOOTH_VARIATION * VARIED[(5 * tooth + 3 * (across > 0)) % len(VARIED)])
    length = length - 0.16 * min(shown, 0.05) * np.abs(place) ** 3
    below_tips = from_gum - length
    opacity = smoothstep(TOOTH_EDGE, -TOOTH_EDGE, below_tips) * (along < edges[-1]) * corner
    # Of a row that is no longer than its soft edge nothing shows.
    opacity = opacity * float(smoothstep(0, TOOTH_EDGE, np.array(shown)))
    # Gaps are as wide between all teeth; they begin as a shade at both sides of a tooth.
    from_side = (1 - np.abs(place)) * width / 2
    depth = np.clip(from_gum / np.maximum(length, MIN_LENGTH), 0, 1)
    gaps = 1 - gap_shade * (0.4 + 0.6 * depth) * np.exp(-((from_side / TOOTH_GAP) ** 2))
    # No two teeth are alike.
    gaps = gaps * (1 + TOOTH_VARIATION * VARIED[2 * tooth + (across > 0)])
    cheeks = 1 - (1 - CHEEK_LIGHT) * smoothstep(*CHEEK_SHADE_RANGE, along)
    lip = 1 - (1 - LIP_SHADE) * np.exp(-np.maximum(from_gum, 0) / LIP_SHADE_REACH)
    tips = 1 - (1 - TIP_SHADE) * smoothstep(-0.03, 0.0, below_tips)
    high = (depth - SHINE_PLACE) / SHINE_SIZE[1]
    shine = 1 + SHINE * np.exp(-((place / SHINE_SIZE[0]) ** 2) - high**2)
    light = gaps * cheeks * lip * tips * shine
    return ToothRow(*(part.astype(np.float32) for part in (opacity, light, from_gum - shown)))
