"""Frames in which the output left the mouth as it was."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from dubfew.evaluate.metrics._base import FrameMeasure, FramePair, Metric
from dubfew.evaluate.metrics._skin import find_edited_part
from dubfew.utils.luma import LUMA_BT601

# A frame counts as painted where the repainted region differs this many times more from the
# original than the ring around it does: an encoder's errors are larger in a moving mouth.
PAINTED_FACTOR = 2.0
# And at least by this mean difference, 8-bit levels: one sample in ten by a single level.
MIN_DIFFERENCE = 0.1
# Standard deviation of the smoothing before, px: an encoder's errors cancel within a few pixels,
# another mouth's do not.
SMOOTHING_SIGMA_PX = 2.0


def is_unpainted(pair: FramePair) -> float | None:
    """Tell whether a frame of the output shows the original's mouth, as far as an encoder lets see.

    Args:
        pair: a frame of both clips.

    Returns:
        100 if nothing was painted, 0 if something was; None without a face in the original.
    """
    if pair.reference_landmarks is None:
        return None
    part = find_edited_part(pair)
    if part is None:  # no mask: nothing could be painted
        return 100.0
    first, second = part.box.crop(pair.reference), part.box.crop(pair.output)
    signed = (second.astype(np.float32) - first) @ LUMA_BT601
    difference = np.abs(gaussian_filter(signed, SMOOTHING_SIGMA_PX))
    # Paint that ends at the edge is smeared outwards a little.
    inside, around = part.depth > part.reach, part.depth < -SMOOTHING_SIGMA_PX
    changed = _mean(difference[inside if inside.any() else part.depth > 0])
    noise = _mean(difference[around])
    return 0.0 if changed > max(MIN_DIFFERENCE, PAINTED_FACTOR * noise) else 100.0


def _mean(values: NDArray[np.float64]) -> float:
    return float(values.mean()) if len(values) else 0.0


METRIC = Metric(
    unit="% of the frames with a face",
    bounds=(0.0, 100.0),
    direction="lower",
    best=0.0,
    source="frames whose mouth differs from the original's no more than the skin around it does",
    measure=FrameMeasure(is_unpainted),
    good=0.0,
    poor=10.0,
    best_if_unchanged=False,
)
