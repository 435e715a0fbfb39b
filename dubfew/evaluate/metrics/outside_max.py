"""Largest change of any pixel outside the mouth mask."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dubfew.evaluate.metrics._aggregation import maximum
from dubfew.evaluate.metrics._base import (
    FrameMeasure,
    FramePair,
    Metric,
    RgbImage,
    check_image_pair,
)
from dubfew.evaluate.metrics._kernels import find_largest_difference


def max_difference_outside(
    reference: RgbImage,  # [H, W, 3]
    output: RgbImage,  # [H, W, 3]
    ignore_mask: NDArray[np.bool_] | None,  # [H, W]
) -> int:
    """Find the largest difference of any RGB value outside a mask.

    Args:
        reference: frame of the original. [H, W, 3] uint8 RGB
        output: the same frame of the output. [H, W, 3] uint8 RGB
        ignore_mask: True at pixels that do not count; None if all do. [H, W]

    Returns:
        Difference, 0 to 255, lower is better; 0 if nothing else was changed and the file is
        lossless.

    Raises:
        ShapeError: The images differ in size, or are not uint8 RGB.
    """
    check_image_pair(reference, output)
    if ignore_mask is None:
        ignore_mask = np.zeros(reference.shape[:2], np.bool_)
    return int(find_largest_difference(reference, output, ignore_mask))


def _measure(pair: FramePair) -> float:
    box = pair.box
    if box is None:
        return float(max_difference_outside(pair.reference, pair.output, pair.editable))
    editable = None if pair.editable is None else box.crop(pair.editable)
    inside = max_difference_outside(box.crop(pair.reference), box.crop(pair.output), editable)
    return float(max(pair.beyond, inside))


METRIC = Metric(
    unit="8-bit levels",
    bounds=(0.0, 255.0),
    direction="lower",
    best=0.0,
    source="maximum over all frames, pixels and channels outside the mask that rendering uses",
    measure=FrameMeasure(_measure, maximum),
)
