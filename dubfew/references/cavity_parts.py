"""What lies where behind the lips: dark, flesh or teeth, learned from many people.

The mean color of many mouths is milk: where half of the people show teeth and half show the dark,
it is gray. So the network (`CavityParts`) does not predict one color for a place but three parts,
each with a probability and a color of its own. Whoever draws them picks the likely part instead of
mixing all. What an actor's own windows show between the lips corrects both (`fit_part_correction`):
how often which part shows at which height, and the color of each.

``mouth_cavity.safetensors`` is written by ``tools/fit_mouth_cavity.py``; docs/training.md says who
it learned from.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from skimage.color import deltaE_ciede94

from dubfew.references.mouth_opening import MouthOpening
from dubfew.references.teeth import are_teeth, to_lab
from dubfew.utils.arrays import FloatArray

CAVITY_FILE = Path(__file__).with_name("mouth_cavity.safetensors")
# Parts by their index.
DARK, FLESH, TEETH = 0, 1, 2
PART_COUNT = 3
# Logarithm of each part's color relative to the lower lip's, where training begins. It keeps the
# meaning of the parts: dark, the tongue and gums, and teeth, which are paler. [3, 3]
STARTING_COLORS = np.array([[-1.8] * 3, [-0.7] * 3, [0.0, 0.25, 0.25]], np.float32)
# Difference (CIE94) by which colors of one part vary. 5 is a clear but small difference of color.
PART_SPREAD = 5.0
# Brightness below which a color counts as this, of 255: the logarithm of noise must not count.
DARKEST_LEVEL = 4.0
# Largest color that the network may give, as factors on the skin's: teeth are whiter than skin, but
# lit by the same light. Extrapolated beyond its examples it once gave green teeth.
WHITEST_OVER_SKIN = np.array([1.10, 1.25, 1.45], np.float32)
# Logarithms of the channels of teeth over skin's where they are as bright, how far along them the
# hue of teeth may lie, and the logarithm of their brightness over the skin's: teeth are paler, and
# what is darker lies in the shade, which is drawn.
TOOTH_OVER_SKIN, TOOTH_PALENESS = np.array([-0.17, 0.02, 0.15], np.float32), (0.4, 0.8)
TOOTH_BRIGHTNESS = (0.08, 0.25)
# Logarithms of the channels of flesh over the lower lip's, beside brightness, for each unit by
# which it is darker: light that was thrown back and forth between flesh is redder. How much darker
# it is, as a logarithm.
FLESH_OVER_LIP, FLESH_DARKNESS = np.array([0.30, -0.15, -0.15], np.float32), (0.1, 2.5)
# Heights in the opening, 0 at the upper lip, at which the parts' frequencies are corrected.
CORRECTED_HEIGHTS = (1 / 6, 1 / 2, 5 / 6)
# Places that count as much as the network's own prediction: one window shows about 300.
PRIOR_PLACES = 150.0
# Openings, in inter-ocular distances, at which a window begins to tell of the parts and tells all:
# in a narrow one the lips' edges, wrong by a pixel, are most of what is seen.
TELLING_OPENINGS = (0.04, 0.12)
# Distance from the lips, in inter-ocular distances, below which a place may show a lip.
NEAR_LIP = 0.012
# Largest correction of a color, as a logarithm: beyond it the place shows another part.
MAX_COLOR_LOG = 1.5


@dataclass(frozen=True)
class PartCorrection:
    """How an actor's parts differ from the network's prediction.

    Attributes:
        log_odds: logarithms to add to those of the probabilities, at each of
            ``CORRECTED_HEIGHTS``. [3, 3]
        log_colors: logarithms to add to those of the colors, RGB of each part. [3, 3]
        opening: widest opening that was seen, in inter-ocular distances.
    """

    log_odds: FloatArray
    log_colors: FloatArray
    opening: float


@dataclass(frozen=True)
class MouthColors:
    """Colors around an actor's mouth, RGB 0 to 255. [3] each

    Attributes:
        lower_lip: lower lip below its inner edge.
        upper_lip: upper lip above its inner edge.
        gap: darkest row between the lips.
        skin: cheeks beside the mouth.
        correction: what the actor's open mouths tell; None where no window shows any.
    """

    lower_lip: FloatArray
    upper_lip: FloatArray
    gap: FloatArray
    skin: FloatArray
    correction: PartCorrection | None = None


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

    @property
    def heights(self) -> NDArray:
        """Return heights in the opening, 0 at the upper lip to 1 at the lower one. [N]"""
        opening = np.maximum(self.below_lip + self.above_lip, 1e-6)
        return np.clip(self.below_lip / opening, 0, 1)


@dataclass(frozen=True)
class CavityParts:
    """A network of two hidden layers that predicts the parts at a place between the lips.

    Colors are relative to that of the lower lip, so that light and skin tone hardly matter. It is a
    mixture density network (Bishop 1994, Mixture Density Networks, eq. 22 to 25).

    Attributes:
        mean: mean of each feature. [F]
        deviation: standard deviation of each feature. [F]
        weights: matrices of the three layers. [H, F], [H, H], [12, H]
        biases: their biases. [H], [H], [12]
    """

    mean: FloatArray
    deviation: FloatArray
    weights: tuple[FloatArray, FloatArray, FloatArray]
    biases: tuple[FloatArray, FloatArray, FloatArray]

    def predict(self, points: CavityPoints, colors: MouthColors) -> tuple[FloatArray, FloatArray]:
        """Predict the parts of places, corrected for the actor.

        Args:
            points: places between the lips.
            colors: colors around the actor's mouth.

        Returns:
            Logarithm of each part's probability [N, 3]; each part's color, RGB 0 to 1 [N, 3, 3].
        """
        x = (cavity_features(points, colors) - self.mean) / self.deviation
        for layer, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            x = x @ weight.T + bias
            if layer < 2:
                x = x / (1 + np.exp(-np.maximum(x, -80)))  # SiLU
        log_odds, log_colors = x[:, :PART_COUNT], 0.5 * x[:, PART_COUNT:]
        lip = np.maximum(colors.lower_lip, DARKEST_LEVEL) / 255
        color = lip * np.exp(log_colors.reshape(-1, PART_COUNT, 3) + STARTING_COLORS)
        color = np.minimum(color, WHITEST_OVER_SKIN * colors.skin / 255)
        color[:, TEETH] = _limit_teeth(color[:, TEETH], colors)
        if colors.correction is not None:
            heights = points.heights
            columns = colors.correction.log_odds.T
            added = [np.interp(heights, CORRECTED_HEIGHTS, column) for column in columns]
            # Of a wider mouth a narrower one tells less: the tongue shows in it.
            upper, lower = points.middle_edges
            told = min(colors.correction.opening / max(lower - upper, 1e-6), 1.0) ** 2
            log_odds = log_odds + told * np.stack(added, 1)
            color = color * np.exp(colors.correction.log_colors)
        color[:, FLESH] = _redden_flesh(color[:, FLESH], colors)
        log_odds = log_odds - log_odds.max(1, keepdims=True)
        log_odds = log_odds - np.log(np.exp(log_odds).sum(1, keepdims=True))
        return log_odds.astype(np.float32), np.clip(color, 0, 1).astype(np.float32)


def _limit_teeth(color: NDArray, colors: MouthColors) -> NDArray:
    """Keep the color of teeth that nobody saw plausible: paler than skin, in any light. [N, 3]"""
    skin = np.maximum(colors.skin, DARKEST_LEVEL) / 255
    logs = np.log(np.maximum(color, DARKEST_LEVEL / 255) / skin)
    brightness = np.clip(logs.mean(1), *TOOTH_BRIGHTNESS)
    hue = TOOTH_OVER_SKIN
    along = np.clip((logs @ hue) / (hue @ hue), *TOOTH_PALENESS)
    return np.asarray(skin * np.exp(brightness[:, None] + along[:, None] * hue))


def _redden_flesh(color: NDArray, colors: MouthColors) -> NDArray:
    """Give flesh the hue of the lips, redder where it is darker. [N, 3]

    Clenched teeth in the shade that were seen may have made it gray.
    """
    lip = np.maximum(colors.lower_lip, DARKEST_LEVEL) / 255
    logs = np.log(np.maximum(color, DARKEST_LEVEL / 255) / lip)
    darkness = np.clip(-logs.mean(1), *FLESH_DARKNESS)[:, None]
    return np.asarray(lip * np.exp(darkness * (FLESH_OVER_LIP - 1)))


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


def fit_part_correction(
    seen: Iterable[tuple[CavityPoints, FloatArray]], colors: MouthColors
) -> PartCorrection | None:
    """Fit how an actor's parts differ from the network's, by one step of expectation maximization.

    Args:
        seen: of each window places between the lips and their colors, RGB 0 to 255 [N, 3].
        colors: colors around the actor's mouth.

    Returns:
        The correction; None where no window shows an open mouth.

    Source: Dempster, Laird and Rubin 1977, Maximum Likelihood from Incomplete Data via the EM
    Algorithm, sec. 4.3, with the network's prediction as `PRIOR_PLACES` places of a prior.
    """
    uncorrected = replace(colors, correction=None)
    rows, widest = [], 0.0
    for points, found in seen:
        upper, lower = points.middle_edges
        widest = max(widest, lower - upper)
        begin, whole = TELLING_OPENINGS
        weight = min(max((lower - upper - begin) / (whole - begin), 0.0), 1.0)
        is_inside = np.minimum(points.below_lip, points.above_lip) >= NEAR_LIP
        weights = weight * is_inside
        # What is white is a tooth in a narrow opening, too, and tells the color of teeth.
        white = is_inside & are_teeth(found / 255, colors.lower_lip[None] / 255)
        if not (weights.any() or white.any()):
            continue
        log_odds, predicted = load_cavity_parts().predict(points, uncorrected)
        true = np.maximum(found, DARKEST_LEVEL) / 255
        truth = to_lab(true)
        apart = [deltaE_ciede94(truth, to_lab(predicted[:, k])) for k in range(PART_COUNT)]
        share = log_odds - np.stack(apart, 1) / PART_SPREAD
        share = np.exp(share - share.max(1, keepdims=True))
        share *= weights[:, None] / share.sum(1, keepdims=True)
        off = np.log(true[:, None] / np.maximum(predicted, DARKEST_LEVEL / 255))
        telling = share.copy()
        telling[:, TEETH] = np.maximum(telling[:, TEETH], white)
        rows.append((points.heights, np.exp(log_odds) * weights[:, None], share, telling, off))
    if not rows:
        return None
    heights, expected, share, telling, off = (
        np.concatenate(column) for column in zip(*rows, strict=True)
    )
    off = np.clip(off, -MAX_COLOR_LOG, MAX_COLOR_LOG)
    # The third part of the prior's places for each part.
    total = telling.sum(0) + PRIOR_PLACES / PART_COUNT
    log_colors = (telling[:, :, None] * off).sum(0) / total[:, None]
    odds, prior = [], PRIOR_PLACES * expected.sum(0) / max(expected.sum(), 1e-6) + 1e-6
    for index in range(len(CORRECTED_HEIGHTS)):
        # A place counts at the two heights around it, as in the interpolation between them.
        part = np.interp(heights, CORRECTED_HEIGHTS, np.eye(len(CORRECTED_HEIGHTS))[index])
        odds.append(np.log((part @ share + prior) / (part @ expected + prior)))
    return PartCorrection(np.array(odds, np.float32), log_colors.astype(np.float32), widest)


@functools.cache
def load_cavity_parts() -> CavityParts:
    """Load the shipped network."""
    from safetensors.numpy import load_file

    arrays = load_file(CAVITY_FILE)
    return CavityParts(
        arrays["mean"],
        arrays["deviation"],
        (arrays["weight0"], arrays["weight1"], arrays["weight2"]),
        (arrays["bias0"], arrays["bias1"], arrays["bias2"]),
    )
