"""Color of the repainted skin against the original's."""

from __future__ import annotations

import math

import numpy as np
from skimage.color import deltaE_ciede2000, rgb2lab

from dubfew.evaluate.metrics._base import FrameMeasure, FramePair, Metric
from dubfew.evaluate.metrics._skin import MIN_SKIN_PIXELS, find_edited_part


def skin_color_difference(pair: FramePair) -> float | None:
    """Compute the difference of the mean colors of the skin around the lips in one frame.

    The lips are left out: they may differ where another line is spoken.

    Args:
        pair: a frame of both clips.

    Returns:
        CIEDE2000, 0 or more, lower is better; 1 is just visible side by side. None where no skin
        may change.

    Source: Sharma et al. 2005, The CIEDE2000 Color-Difference Formula (Color Research and
    Application 30).
    """
    part = find_edited_part(pair)
    if part is None or part.skin.sum() < MIN_SKIN_PIXELS:
        return None
    means = [
        part.box.crop(image)[part.skin].mean(0, dtype=np.float64)[None] / 255
        for image in (pair.reference, pair.output)
    ]
    return float(deltaE_ciede2000(*(rgb2lab(mean[None]) for mean in means)).item())


METRIC = Metric(
    unit="CIEDE2000",
    bounds=(0.0, math.inf),
    direction="lower",
    best=0.0,
    source="CIEDE2000 (Sharma et al. 2005) of the mean colors of the repainted skin without the "
    "lips",
    measure=FrameMeasure(skin_color_difference),
    # One is just visible side by side, two at a glance.
    good=1.0,
    poor=2.0,
)
