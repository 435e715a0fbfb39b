"""Structural similarity of the face crop."""

from __future__ import annotations

from dubfew.evaluate.metrics._base import CropMeasure, Metric, RgbImage, check_image_pair
from dubfew.evaluate.metrics._kernels import sum_similarities

# Edge of the uniform window in px, which is scikit-image's default. Published figures for faces
# use it, too. A larger window forgives more displacement.
SSIM_WINDOW_PX = 7
# Constants that keep the terms finite, for levels of 0 to 255.
LUMINANCE_CONSTANT, CONTRAST_CONSTANT = (0.01 * 255) ** 2, (0.03 * 255) ** 2


def ssim(
    reference: RgbImage,  # [H, W, 3]
    output: RgbImage,  # [H, W, 3]
) -> float:
    """Compute the structural similarity of one frame, as the mean of the RGB channels.

    Args:
        reference: image of the original. [H, W, 3] uint8 RGB
        output: image of the output, of the same size. [H, W, 3] uint8 RGB

    Returns:
        Similarity, -1 to 1, higher is better; NaN if the images are smaller than the window.

    Raises:
        ShapeError: The images differ in size, or are not uint8 RGB.

    Source: Wang et al. 2004, "Image Quality Assessment: From Error Visibility to Structural
    Similarity" (IEEE Transactions on Image Processing 13), eq. 13, in scikit-image's form: a 7 x 7
    uniform window in place of the Gaussian one.

    Example:
        >>> import numpy as np
        >>> image = np.random.default_rng(0).integers(0, 256, (16, 16, 3), np.uint8)
        >>> round(ssim(image, image), 6), ssim(image, 255 - image) < 0
        (1.0, True)
    """
    check_image_pair(reference, output)
    if min(reference.shape[:2]) < SSIM_WINDOW_PX:
        return float("nan")
    height, width = (edge - SSIM_WINDOW_PX + 1 for edge in reference.shape[:2])
    total = sum_similarities(
        reference, output, SSIM_WINDOW_PX, LUMINANCE_CONSTANT, CONTRAST_CONSTANT
    )
    return float(total / (height * width * 3))


METRIC = Metric(
    unit="",
    bounds=(-1.0, 1.0),
    direction="higher",
    best=1.0,
    source="Wang et al. 2004, Image Quality Assessment: From Error Visibility to Structural "
    "Similarity; 7 x 7 uniform window",
    measure=CropMeasure(ssim, "face"),
    # docs/benchmarks.md: an adapted actor has 0.993, a reference that is pasted rigidly 0.978.
    good=0.99,
    poor=0.98,
    needs_same_line=True,
)
