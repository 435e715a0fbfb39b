"""Peak signal-to-noise ratio of the face crop."""

from __future__ import annotations

import math

import numpy as np

from dubfew.evaluate.metrics._base import CropMeasure, Metric, RgbImage, check_image_pair


def psnr(
    reference: RgbImage,  # [H, W, 3]
    output: RgbImage,  # [H, W, 3]
) -> float:
    """Compute the peak signal-to-noise ratio of one frame over all three channels.

    Args:
        reference: image of the original. [H, W, 3] uint8 RGB
        output: image of the output, of the same size. [H, W, 3] uint8 RGB

    Returns:
        Ratio in dB, higher is better; infinity if the images are identical.

    Raises:
        ShapeError: The images differ in size, or are not uint8 RGB.

    Example:
        >>> black, gray = np.zeros((8, 8, 3), np.uint8), np.full((8, 8, 3), 10, np.uint8)
        >>> round(psnr(black, gray), 2)
        28.13
    """
    check_image_pair(reference, output)
    difference = reference.astype(np.float64) - output.astype(np.float64)
    error = float(np.mean(difference * difference))
    return float("inf") if error == 0 else 10 * float(np.log10(255.0**2 / error))


METRIC = Metric(
    unit="dB",
    bounds=(0.0, math.inf),
    direction="higher",
    best=math.inf,
    source="10 log10(255^2 / mean squared error); frames without any change are left out",
    measure=CropMeasure(psnr, "face"),
    # docs/benchmarks.md: an adapted actor has 44.7, a reference that is pasted rigidly 38.3.
    good=43.0,
    poor=38.5,
    needs_same_line=True,
)
