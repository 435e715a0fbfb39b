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
    difference = np.maximum(reference, output) - np.minimum(reference, output)
    if ignore_mask is not None:
        difference[ignore_mask] = 0
    return int(difference.max(initial=0))


def _measure(pair: FramePair) -> float:
    return float(max_difference_outside(pair.reference, pair.output, pair.editable))


METRIC = Metric(
    unit="8-bit levels",
    bounds=(0.0, 255.0),
    direction="lower",
    best=0.0,
    source="maximum over all frames, pixels and channels outside the mask that rendering uses",
    measure=FrameMeasure(_measure, maximum),
)
