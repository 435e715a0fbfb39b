"""A drawn cavity behind the lips, for what none of an actor's references shows.

An actor whose seconds show closed lips alone must still be able to open the mouth. What is drawn
then is a guess from many people: a small network (`CavityColors`) says how bright and of which
color each place is, from its distance to the lips, the shape of the opening, and the colors of the
actor's lips and skin. Such a mean over people is blurred, so teeth, tongue and the dark are drawn
as well (`draw_cavity_shapes`), and both are mixed.

``mouth_cavity.safetensors`` is written by ``tools/fit_mouth_cavity.py``; docs/training.md says who
it learned from.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dubfew.references.mouth_opening import (
    LIP_DEPTH,
    MouthOpening,
    find_gap,
    sample_nearest,
)
from dubfew.references.teeth import TEETH_SHARE, look_at_teeth
from dubfew.utils.arrays import FloatArray
from dubfew.utils.luma import LUMA_BT601

CAVITY_FILE = Path(__file__).with_name("mouth_cavity.safetensors")
# Share of the network's colors in the mixture with the drawn shapes. By itself the network is
# nearer to the films in color and looks like milk; the shapes by themselves look like a denture
# (docs/findings.md, "The mouth's inside").
NETWORK_SHARE = 0.6
# Largest color that the network may give, as factors on the skin's: teeth are whiter than skin, but
# lit by the same light. Extrapolated beyond its examples it once gave green teeth.
WHITEST_OVER_SKIN = np.array([1.10, 1.25, 1.45], np.float32)
# Brightness below which a color counts as this, of 255: the logarithm of noise must not count.
DARKEST_LEVEL = 4.0

# The drawn shapes. Lengths are in inter-ocular distances (about 90 mm).
#
# Brightness of the dark and of the tongue, as factors on the color of the lips.
DARK_FACTOR, TONGUE_FACTOR = 0.35, 0.78
# Half width of the tongue, and the part of the opening, from the top, in which it rises.
TONGUE_HALF_WIDTH = 0.24
TONGUE_RISE = (0.30, 0.85)
# The actor's enamel, where windows show teeth: percentile of their colors, and how many windows.
ENAMEL_PERCENTILE, MIN_ENAMEL_WINDOWS = 70, 2
# Enamel of others: brightness as a factor on that of the lips, its largest value, and its tint.
ENAMEL_FACTOR, MAX_ENAMEL_LEVEL = 1.3, 235.0
ENAMEL_TINT = np.array([1.05, 1.0, 0.86], np.float32)
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
# Distances along the arch between which teeth darken towards the cheeks, and by how much.
CHEEK_SHADE_RANGE, CHEEK_SHADE = (0.12, 0.36), 0.75
# The lips' shadow: how dark at the lip, and how far it reaches.
LIP_SHADOW, LIP_SHADOW_REACH = 0.35, 0.012


@dataclass(frozen=True)
class MouthColors:
    """Colors around an actor's mouth, RGB 0 to 255. [3] each

    Attributes:
        lower_lip: lower lip below its inner edge.
        upper_lip: upper lip above its inner edge.
        gap: darkest row between the lips.
        skin: cheeks beside the mouth.
        enamel: the actor's teeth; None where no window shows any.
    """

    lower_lip: FloatArray
    upper_lip: FloatArray
    gap: FloatArray
    skin: FloatArray
    enamel: FloatArray | None = None


def measure_mouth_colors(
    windows: Iterable[tuple[NDArray[np.uint8], FloatArray, FloatArray]],
) -> MouthColors:
    """Measure the colors around a mouth, the median of some windows.

    Args:
        windows: of each window the image [S, S, 3], the inner edge of the lips [20, 2] and points
            on the cheeks [N, 2], both -1 to 1.
    """
    found, enamel = [], []
    for image, ring, cheeks in windows:
        opening = MouthOpening.from_ring(ring)
        across = opening.spread_across(0.4, 9)
        upper, lower = opening.edge_heights(across)
        depth = LIP_DEPTH * opening.half_width
        lips = [
            np.median(sample_nearest(image, opening.from_axes(np.stack([across, down], 1))), 0)
            for down in (lower + depth, upper - depth)
        ]
        found.append(
            [*lips, find_gap(image, opening)[1], np.median(sample_nearest(image, cheeks), 0)]
        )
        share, teeth = look_at_teeth(image, ring)
        if share > TEETH_SHARE:
            # Teeth at the side are in shadow, and a shine is whiter than enamel.
            enamel.append(np.percentile(teeth, ENAMEL_PERCENTILE, axis=0))
    # One window may show a shine on the lips alone.
    tone = np.median(enamel, 0).astype(np.float32) if len(enamel) >= MIN_ENAMEL_WINDOWS else None
    lower, upper, gap, skin = np.median(np.array(found, np.float32), 0)
    return MouthColors(lower, upper, gap, skin, tone)


@dataclass(frozen=True)
class CavityPoints:
    """Places between the lips of one frame. Lengths are in inter-ocular distances.

    Attributes:
        across: distance to the right of the mouth's middle. [N]
        below_lip: distance from the upper lip's edge. [N]
        above_lip: distance from the lower lip's edge. [N]
        down: distance below the line between the corners. [N]
        half_width: half of the distance between the corners.
        middle_edges: heights of the upper and the lower lip's edge below the line between the
            corners, means of the middle.
    """

    across: NDArray
    below_lip: NDArray
    above_lip: NDArray
    down: NDArray
    half_width: float
    middle_edges: tuple[float, float]

    @classmethod
    def from_opening(
        cls, opening: MouthOpening, points: NDArray, eye_distance: float
    ) -> CavityPoints:
        """Describe points of an opening.

        Args:
            opening: shape of the lips.
            points: places in the opening's axes. [N, 2]
            eye_distance: inter-ocular distance, in the opening's unit.
        """
        upper, lower = opening.edge_heights(points[:, 0])
        middle = opening.edge_heights(opening.spread_across(0.3, 7))
        return cls(
            points[:, 0] / eye_distance,
            (points[:, 1] - upper) / eye_distance,
            (lower - points[:, 1]) / eye_distance,
            points[:, 1] / eye_distance,
            opening.half_width / eye_distance,
            (float(middle[0].mean()) / eye_distance, float(middle[1].mean()) / eye_distance),
        )


def draw_cavity(points: CavityPoints, colors: MouthColors) -> FloatArray:
    """Draw what lies behind the lips.

    Args:
        points: places between the lips.
        colors: colors around the actor's mouth.

    Returns:
        RGB, 0 to 1. [N, 3]
    """
    network = load_cavity_colors().predict(points, colors)
    network = np.minimum(network, WHITEST_OVER_SKIN * colors.skin / 255)
    return NETWORK_SHARE * network + (1 - NETWORK_SHARE) * draw_cavity_shapes(points, colors)


def draw_cavity_shapes(points: CavityPoints, colors: MouthColors) -> FloatArray:
    """Draw the dark, the tongue, and the lower and upper teeth, from the back to the front.

    Args:
        points: places between the lips.
        colors: colors around the actor's mouth.

    Returns:
        RGB, 0 to 1. [N, 3]
    """
    opening = points.below_lip + points.above_lip
    lip = colors.lower_lip
    dark = np.minimum(colors.gap, DARK_FACTOR * lip)
    # The tongue lies on the lower teeth, is lit from the front, and turns dark at its sides.
    tongue = smoothstep(*TONGUE_RISE, points.below_lip / np.maximum(opening, 1e-6)) * np.sqrt(
        np.clip(1 - (points.across / TONGUE_HALF_WIDTH) ** 2, 0, 1)
    )
    color = dark + tongue[:, None] * (TONGUE_FACTOR * lip - dark)
    enamel = colors.enamel
    if enamel is None:
        enamel = np.minimum(ENAMEL_FACTOR * (lip @ LUMA_BT601) * ENAMEL_TINT, MAX_ENAMEL_LEVEL)
    upper_edge, lower_edge = points.middle_edges
    middle_opening = lower_edge - upper_edge
    rest, full = UPPER_TEETH_SHOWN
    smile = float(smoothstep(*SMILE_RANGE, np.array(points.half_width)))
    upper_shown = min(rest + smile * (full - rest), MAX_UPPER_COVER * middle_opening)
    lower_shown = LOWER_TEETH_SHOWN * float(
        smoothstep(*LOWER_TEETH_RANGE, np.array(middle_opening))
    )
    for from_lip, from_middle, shown, widths in (
        (points.above_lip, lower_edge - points.down, lower_shown, LOWER_CROWN_WIDTHS),
        (points.below_lip, points.down - upper_edge, upper_shown, UPPER_CROWN_WIDTHS),
    ):
        from_gum = LIP_FOLLOWED * from_lip + (1 - LIP_FOLLOWED) * from_middle
        opacity, shade = _draw_teeth(points.across, from_gum, shown, widths)
        color += opacity[:, None] * (shade[:, None] * enamel - color)
    nearest_lip = np.maximum(np.minimum(points.below_lip, points.above_lip), 0)
    shadow = 1 - LIP_SHADOW * np.exp(-nearest_lip / LIP_SHADOW_REACH)
    return (color * (shadow[:, None] / 255)).astype(np.float32)


def _draw_teeth(
    across: NDArray,  # [N]
    from_gum: NDArray,  # [N]
    shown: float,
    widths: tuple[float, ...],
) -> tuple[NDArray, NDArray]:
    """Draw one row of teeth of which ``shown`` shows; opacity and brightness. [N] each"""
    if shown <= 0:
        return np.zeros_like(across), np.ones_like(across)
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
    shade = (1 - 0.22 * place**8) * (1 - CHEEK_SHADE * smoothstep(*CHEEK_SHADE_RANGE, along))
    return opacity, shade


def smoothstep(begin: float, end: float, value: NDArray) -> NDArray:
    """Rise smoothly from 0 at ``begin`` to 1 at ``end``, which may be the smaller one.

    Args:
        begin: value at which the result leaves 0.
        end: value at which it reaches 1; not ``begin``.
        value: numbers of any shape.
    """
    t = np.clip((value - begin) / (end - begin), 0, 1)
    return t * t * (3 - 2 * t)


@dataclass(frozen=True)
class CavityColors:
    """A network of two hidden layers that predicts the color of a place between the lips.

    It predicts the logarithm of the color relative to that of the lower lip, so that light and skin
    tone hardly matter.

    Attributes:
        mean: mean of each feature. [F]
        deviation: standard deviation of each feature. [F]
        weights: matrices of the three layers. [H, F], [H, H], [3, H]
        biases: their biases. [H], [H], [3]
    """

    mean: FloatArray
    deviation: FloatArray
    weights: tuple[FloatArray, FloatArray, FloatArray]
    biases: tuple[FloatArray, FloatArray, FloatArray]

    def predict(self, points: CavityPoints, colors: MouthColors) -> FloatArray:
        """Predict colors.

        Args:
            points: places between the lips.
            colors: colors around the actor's mouth.

        Returns:
            RGB, 0 to 1. [N, 3]
        """
        x = (cavity_features(points, colors) - self.mean) / self.deviation
        for layer, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            x = x @ weight.T + bias
            if layer < 2:
                x = x / (1 + np.exp(-x))  # SiLU
        return relative_to_lip(x, colors)


def relative_to_lip(output: NDArray, colors: MouthColors) -> FloatArray:
    """Turn the network's output into colors, 0 to 1. [N, 3]

    Args:
        output: output of the network, unbounded. [N, 3]
        colors: colors of the actor's lips, 0 to 255.
    """
    lip = np.maximum(colors.lower_lip, DARKEST_LEVEL) / 255
    # Insides are darker than lips by about this; half units keep early training calm.
    return np.clip(lip * np.exp(0.5 * output - 0.5), 0, 1).astype(np.float32)


def cavity_features(points: CavityPoints, colors: MouthColors) -> FloatArray:
    """Compute the network's features of each place: position, opening, colors. [N, 24]

    Args:
        points: N places between the lips, in inter-ocular distances.
        colors: colors of the actor's lips and skin, 0 to 255.
    """
    opening = points.below_lip + points.above_lip
    upper, lower = points.middle_edges
    # Divided so that each number is about 1 at most.
    position = np.stack(
        [
            np.abs(points.across) / 0.3,
            np.abs(points.across) / points.half_width,
            points.below_lip / 0.1,
            points.above_lip / 0.1,
            points.below_lip / np.maximum(opening, 1e-6),
            opening / 0.2,
            (points.down - upper) / 0.1,
            (lower - points.down) / 0.1,
        ],
        1,
    )
    shape = np.array([lower - upper, points.half_width, -upper, lower]) * 8 - 1
    logs = [
        np.log(np.maximum(color, DARKEST_LEVEL) / 255)
        for color in (colors.upper_lip, colors.gap, colors.skin, colors.lower_lip)
    ]
    # Relative to the lower lip, so that exposure cancels; its own level comes last.
    tones = np.concatenate([*(log - logs[3] for log in logs[:3]), logs[3]])
    same = np.broadcast_to(np.concatenate([shape, tones]), (len(position), 16))
    return np.concatenate([position, same], 1).astype(np.float32)


@functools.cache
def load_cavity_colors() -> CavityColors:
    """Load the shipped network."""
    from safetensors.numpy import load_file

    arrays = load_file(CAVITY_FILE)
    return CavityColors(
        arrays["mean"],
        arrays["deviation"],
        (arrays["weight0"], arrays["weight1"], arrays["weight2"]),
        (arrays["bias0"], arrays["bias1"], arrays["bias2"]),
    )
