"""A line that the edge of the repainted region draws into the face."""

from __future__ import annotations

import math

import numpy as np
from scipy.ndimage import gaussian_gradient_magnitude

from dubfew.evaluate.metrics._base import FrameMeasure, FramePair, Metric, RgbImage
from dubfew.evaluate.metrics._skin import EditedPart, find_edited_part
from dubfew.evaluate.regions import CHROMA_REACH_PX
from dubfew.utils.luma import LUMA_BT601

# Standard deviation of the filter before the gradient, px: below the noise of a codec, a seam is
# one to two pixels wide.
GRADIENT_SIGMA_PX = 1.0
# Distance on both sides at which a line has ended, px. A step between a sharp and a blurred side
# is no line, and has the one side as high as its edge.
LINE_WIDTH_PX = 4


def seam_strength(pair: FramePair) -> float | None:
    """Measure the line along the edge of the repainted region in one frame.

    The gradient of the output less that of the original is averaged over all pixels of the same
    distance from the edge. A seam is a distance at which this mean is higher than on both sides.

    Args:
        pair: a frame of both clips.

    Returns:
        8-bit levels per px, 0 or more, lower is better; None where nothing may change.
    """
    part = find_edited_part(pair)
    return None if part is None else _find_line(pair, part)


def _find_line(pair: FramePair, part: EditedPart) -> float | None:
    """Height of the highest line; None if the region is too thin to have one."""
    excess = _gradient(part.box.crop(pair.output)) - _gradient(part.box.crop(pair.reference))
    # The true edge lies inside, by the pixels that chroma reaches beyond it.
    depth = np.floor(part.depth).astype(int) - CHROMA_REACH_PX
    reach = part.reach + LINE_WIDTH_PX
    near = np.abs(depth) <= reach
    counts = np.bincount(depth[near] + reach, minlength=2 * reach + 1)
    sums = np.bincount(depth[near] + reach, excess[near], 2 * reach + 1)
    profile = sums / np.maximum(counts, 1)
    if (counts[LINE_WIDTH_PX:-LINE_WIDTH_PX] == 0).any():
        return None
    sides = np.maximum(profile[: -2 * LINE_WIDTH_PX], profile[2 * LINE_WIDTH_PX :])
    return float(max(0.0, (profile[LINE_WIDTH_PX:-LINE_WIDTH_PX] - sides).max()))


def _gradient(image: RgbImage) -> np.ndarray:
    """Length of the luma's gradient, levels per px. [h, w]"""
    return np.asarray(
        gaussian_gradient_magnitude(image.astype(np.float32) @ LUMA_BT601, GRADIENT_SIGMA_PX)
    )


METRIC = Metric(
    unit="8-bit levels per px",
    bounds=(0.0, math.inf),
    direction="lower",
    best=0.0,
    source="gradient of the luma, output - original, averaged along the edge of dubfew's mouth "
    "mask: how far it rises above both sides",
    measure=FrameMeasure(seam_strength),
    # docs/judging.md: re-encoding has up to 0.1, a line of eight levels 1.1.
    good=0.3,
    poor=1.0,
)
