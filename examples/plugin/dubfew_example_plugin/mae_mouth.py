"""Mean absolute error of the mouth box."""

from __future__ import annotations

import numpy as np

from dubfew.evaluate.metrics._base import CropMeasure, Metric, RgbImage, check_image_pair


def mean_absolute_error(
    reference: RgbImage,  # [H, W, 3]
    output: RgbImage,  # [H, W, 3]
) -> float:
    """Compute the mean absolute error of one frame, in 8-bit levels; lower is better.

    Args:
        reference: image of the original. [H, W, 3] uint8 RGB
        output: image of the output, of the same size. [H, W, 3] uint8 RGB

    Raises:
        ShapeError: The images differ in size, or are not uint8 RGB.
    """
    check_image_pair(reference, output)
    return float(np.abs(reference.astype(np.int16) - output).mean())


METRIC = Metric(
    unit="8-bit levels",
    bounds=(0.0, 255.0),
    direction="lower",
    best=0.0,
    source="mean of |reference - output|",
    measure=CropMeasure(mean_absolute_error, "mouth"),
)
