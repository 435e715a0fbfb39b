"""Structural similarity of the face crop at five scales."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dubfew.evaluate.metrics._base import CropMeasure, Metric, RgbImage, check_image_pair
from dubfew.evaluate.metrics._kernels import sum_scale_terms
from dubfew.utils.luma import LUMA_BT601

# Weights of the scales, finest first (Wang et al. 2003, sec. 3.2).
SCALE_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
# Gaussian window: its size and standard deviation in px, and the constants of SSIM, as in the
# papers of 2003 and 2004.
WINDOW_PX, WINDOW_SIGMA_PX = 11, 1.5
LUMINANCE_CONSTANT, CONTRAST_CONSTANT = (0.01 * 255) ** 2, (0.03 * 255) ** 2
_OFFSETS = np.arange(WINDOW_PX) - WINDOW_PX // 2
_WINDOW = np.exp(-0.5 * (_OFFSETS / WINDOW_SIGMA_PX) ** 2)
_WINDOW = (_WINDOW / _WINDOW.sum()).astype(np.float32)


def ms_ssim(
    reference: RgbImage,  # [H, W, 3]
    output: RgbImage,  # [H, W, 3]
) -> float:
    """Compute the multi-scale structural similarity of the luma of one frame.

    Args:
        reference: image of the original. [H, W, 3] uint8 RGB
        output: image of the output, of the same size. [H, W, 3] uint8 RGB

    Returns:
        Similarity, 0 to 1, higher is better (a negative contrast term counts as 0); NaN if the
        coarsest scale is smaller than the window, which is below 161 px.

    Raises:
        ShapeError: The images differ in size, or are not uint8 RGB.

    Source: Wang et al. 2003, "Multi-scale Structural Similarity for Image Quality Assessment"
    (Asilomar Conference on Signals, Systems and Computers), eq. 7.
    """
    check_image_pair(reference, output)
    first, second = reference @ LUMA_BT601, output @ LUMA_BT601
    if min(first.shape[:2]) <= (WINDOW_PX - 1) * 2 ** (len(SCALE_WEIGHTS) - 1):
        return float("nan")
    product = 1.0
    for scale, weight in enumerate(SCALE_WEIGHTS):
        contrast, both = sum_scale_terms(
            first, second, _WINDOW, np.float32(LUMINANCE_CONSTANT), np.float32(CONTRAST_CONSTANT)
        )
        places = (first.shape[0] - WINDOW_PX + 1) * (first.shape[1] - WINDOW_PX + 1)
        term = both if scale == len(SCALE_WEIGHTS) - 1 else contrast
        # The mean over the picture comes before the power, as in the authors' code.
        product *= max(0.0, term / places) ** weight
        first, second = _halve(first), _halve(second)
    return product


def _halve(image: NDArray[np.float32]) -> NDArray[np.float32]:
    """Average squares of 2 x 2 px; an odd last row or column is left out."""
    height, width = image.shape[0] // 2 * 2, image.shape[1] // 2 * 2
    image = image[:height, :width]
    return (image[::2, ::2] + image[1::2, ::2] + image[::2, 1::2] + image[1::2, 1::2]) / 4


METRIC = Metric(
    unit="",
    bounds=(0.0, 1.0),
    direction="higher",
    best=1.0,
    source="Wang et al. 2003, Multi-scale Structural Similarity for Image Quality Assessment; "
    "luma, five scales, Gaussian window of 11 px",
    measure=CropMeasure(ms_ssim, "face"),
    needs_same_line=True,
)
