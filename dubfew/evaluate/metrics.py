"""The measures: one plain function each, and a line in a table.

Protocol, the same for every system under test:

- The output is compared with the original frame by frame, frame k with frame k, as uint8 RGB.
- ``psnr`` and ``ssim`` are taken on the face crop: a stable square box from the *original's*
  landmarks (:func:`dubfew.evaluate.face_geometry.face_boxes`), both videos resized to 256 px.
- ``psnr_mouth``, ``ssim_mouth`` and ``relative_sharpness`` are taken in the mouth box of the
  *original*
  (:func:`dubfew.evaluate.face_geometry.clip_mouth_box`), at the video's own resolution.
- Landmark measures run the same detector over both videos. Distances are in the image (x, y)
  and in units of the distance of the outer eye corners in the same frame.
- Only frames in which the original shows a face count; landmark measures also leave out those
  in which the output shows none.

To add a measure: write its function, add its line to ``IMAGE_METRICS`` or
``LANDMARK_METRICS`` and the field of the same name to ``Evaluation``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import laplace
from skimage.metrics import structural_similarity

from dubfew.evaluate.face_geometry import LIP_POINTS, eye_corner_distance, has_face, mouth_opening

MAX_LAG_FRAMES = 5  # frames
# A mouth whose opening varies by less (standard deviation, eye-corner distances) is not moving:
# what is left is rounding, and dividing by it gives nonsense.
MIN_OPENING_STD = 1e-6
SSIM_WINDOW_PX = 7  # scikit-image's default

RgbImage = NDArray[np.uint8]  # [H, W, 3] RGB
LandmarkArray = NDArray[np.float32]  # [N, 478, 3] px, NaN rows without a face


def psnr(reference: RgbImage, output: RgbImage) -> float:
    """Peak signal-to-noise ratio of one frame over all three channels, dB; inf if identical."""
    difference = reference.astype(np.float64) - output.astype(np.float64)
    error = float(np.mean(difference * difference))
    return float("inf") if error == 0 else 10 * float(np.log10(255.0**2 / error))


def ssim(reference: RgbImage, output: RgbImage) -> float:
    """Structural similarity of one frame, mean of the RGB channels, -1 to 1.

    scikit-image with its default 7 x 7 uniform window; NaN for images smaller than that.
    """
    if min(reference.shape[:2]) < SSIM_WINDOW_PX:
        return float("nan")
    # In float32 the same to four decimals and half the time.
    return float(
        structural_similarity(
            reference.astype(np.float32),
            output.astype(np.float32),
            win_size=SSIM_WINDOW_PX,
            data_range=255.0,
            channel_axis=2,
        )
    )


def laplacian_variance(image: RgbImage) -> float:
    """How much fine detail an image has: variance of its Laplacian, on luma (BT.601)."""
    luma = image.astype(np.float32) @ np.array([0.299, 0.587, 0.114], np.float32)
    return float(laplace(luma, mode="reflect").var(dtype=np.float64))


def relative_sharpness(reference: RgbImage, output: RgbImage) -> float:
    """Detail of the output over that of the original in one frame: 1 the same, 0 none."""
    original = laplacian_variance(reference)
    return laplacian_variance(output) / original if original > 0 else float("nan")


def lip_landmark_distance(reference: LandmarkArray, output: LandmarkArray) -> float:
    """Mean distance of the 40 lip landmarks, % of the original's eye-corner distance.

    Read it beside the still mouth's (:func:`dubfew.evaluate.face_geometry.freeze_lips`).
    """
    both = has_face(reference) & has_face(output)
    if not both.any():
        return float("nan")
    lips = reference[both][:, LIP_POINTS, :2].astype(np.float64) - output[both][:, LIP_POINTS, :2]
    distance = np.linalg.norm(lips, axis=-1).mean(axis=-1)
    return float(np.mean(distance / eye_corner_distance(reference[both])) * 100)


def opening_correlation(reference: LandmarkArray, output: LandmarkArray) -> float:
    """Correlation of the mouth opening with the original's, at lag 0."""
    return lagged_correlation(mouth_opening(reference), mouth_opening(output), 0)


def opening_lag_frames(reference: LandmarkArray, output: LandmarkArray) -> float:
    """By how many frames the output's mouth is late (negative: early), best of ±5."""
    return _find_best_lag(reference, output)[0]


def best_opening_correlation(reference: LandmarkArray, output: LandmarkArray) -> float:
    """Correlation of the mouth opening with the original's at the best lag of ±5 frames."""
    return _find_best_lag(reference, output)[1]


def opening_std_ratio(reference: LandmarkArray, output: LandmarkArray) -> float:
    """How much the mouth moves: standard deviation of the opening, output / original."""
    a, b = mouth_opening(reference), mouth_opening(output)
    both = np.isfinite(a) & np.isfinite(b)
    if both.sum() < 2 or a[both].std() < MIN_OPENING_STD:
        return float("nan")
    return float(b[both].std() / a[both].std())


def lagged_correlation(a: NDArray[np.float64], b: NDArray[np.float64], lag: int) -> float:
    """Pearson correlation of ``a[k]`` with ``b[k + lag]`` where both are finite.

    NaN if fewer than three such pairs remain or one side does not vary.
    """
    if lag > 0:
        a, b = a[:-lag], b[lag:]
    elif lag < 0:
        a, b = a[-lag:], b[:lag]
    both = np.isfinite(a) & np.isfinite(b)
    if both.sum() < 3:
        return float("nan")
    a, b = a[both], b[both]
    if a.std() < MIN_OPENING_STD or b.std() < MIN_OPENING_STD:
        return float("nan")
    return float(np.corrcoef(a, b)[0, 1])


def _find_best_lag(reference: LandmarkArray, output: LandmarkArray) -> tuple[float, float]:
    a, b = mouth_opening(reference), mouth_opening(output)
    # Nearest lags first: of equal correlations the smaller shift is the honest answer.
    lags = sorted(range(-MAX_LAG_FRAMES, MAX_LAG_FRAMES + 1), key=abs)
    scores = [lagged_correlation(a, b, lag) for lag in lags]
    if not np.isfinite(scores).any():
        return float("nan"), float("nan")
    best = int(np.nanargmax(scores))
    return float(lags[best]), scores[best]


def finite_mean(values: NDArray[np.float64]) -> float:
    """Mean of the finite values; inf if there are only infinite ones, NaN if there are none.

    A frame of infinite PSNR was passed through and not edited, and says nothing about the edit.
    """
    finite = values[np.isfinite(values)]
    if len(finite):
        return float(finite.mean())
    return float("inf") if np.isinf(values).any() else float("nan")


def geometric_mean(values: NDArray[np.float64]) -> float:
    """Geometric mean of the positive values, the fair mean of ratios; NaN if there are none."""
    positive = values[np.isfinite(values) & (values > 0)]
    return float(np.exp(np.log(positive).mean())) if len(positive) else float("nan")


@dataclass(frozen=True)
class ImageMetric:
    """A measure of one frame, and how a clip's frames become one figure.

    Attributes:
        region: "face" is the 256 px face crop, "mouth" the mouth box at the video's resolution.
        function: (reference, output) -> figure of one frame.
        aggregate: figures of the frames with a face [N] -> figure of the clip.
    """

    region: Literal["face", "mouth"]
    function: Callable[[RgbImage, RgbImage], float]
    aggregate: Callable[[NDArray[np.float64]], float]


IMAGE_METRICS: Mapping[str, ImageMetric] = {
    "psnr": ImageMetric("face", psnr, finite_mean),
    "ssim": ImageMetric("face", ssim, finite_mean),
    "psnr_mouth": ImageMetric("mouth", psnr, finite_mean),
    "ssim_mouth": ImageMetric("mouth", ssim, finite_mean),
    "sharpness": ImageMetric("mouth", relative_sharpness, geometric_mean),
}

LANDMARK_METRICS: Mapping[str, Callable[[LandmarkArray, LandmarkArray], float]] = {
    "lmd": lip_landmark_distance,
    "opening_r": opening_correlation,
    "opening_lag": opening_lag_frames,
    "opening_r_best": best_opening_correlation,
    "opening_spread": opening_std_ratio,
}
