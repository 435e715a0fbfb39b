"""Losses on pixels and on their differences at several scales."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


def region_weights(
    alpha: Tensor,  # [B, 1, S, S]
    mouth_box: Tensor,  # [B, 4]
    lower_weight: float = 1.0,
    mouth_weight: float = 3.0,
) -> Tensor:  # [B, 1, S, S]
    """Compute the weight of every pixel: 0 outside the mask, most in the mouth.

    Args:
        alpha: opacity of the mask; pixels that are not painted have no loss. [B, 1, S, S]
        mouth_box: box of the lips: left, top, right, bottom, px. [B, 4]
        lower_weight: weight of painted pixels outside the box.
        mouth_weight: weight of painted pixels in the box.

    Returns:
        Weights, times alpha. [B, 1, S, S]

    Source: Saunders and Namboodiri 2024, "Dubbing for Everyone: Data-Efficient Visual Dubbing using
    Neural Rendering Priors" (arXiv 2401.06126), section 3.4: ten for the mouth, eight for the lower
    face, one for the rest. dubfew paints the lower face alone, and weights of three and one kept
    chins steadier than ten and eight.
    """
    # Pixels whose centers are in the box, along each axis.
    size = alpha.shape[-1]
    centers = torch.arange(size, device=alpha.device) + 0.5
    x = (centers >= mouth_box[:, :1]) & (centers < mouth_box[:, 2:3])
    y = (centers >= mouth_box[:, 1:2]) & (centers < mouth_box[:, 3:4])
    box = (y[:, :, None] & x[:, None, :])[:, None].to(alpha)
    return (lower_weight + (mouth_weight - lower_weight) * box) * alpha


def weighted_l1_loss(prediction: Tensor, target: Tensor, pixel_weights: Tensor) -> Tensor:
    """Compute the weighted mean of absolute differences.

    Args:
        prediction: images or features. [B, C, S, S]
        target: same shape. [B, C, S, S]
        pixel_weights: weights of pixels; the result is 0 if all are. [B, 1, S, S]

    Returns:
        Mean over weighted pixels and channels. []

    Example:
        >>> weights = torch.tensor([1.0, 0.0]).view(1, 1, 1, 2)
        >>> target = torch.zeros(1, 1, 1, 2)
        >>> prediction = torch.tensor([0.5, 9.0]).view(1, 1, 1, 2)
        >>> float(weighted_l1_loss(prediction, target, weights))
        0.5
    """
    total = ((prediction - target).abs() * pixel_weights).sum()
    return total / (pixel_weights.sum() * prediction.shape[1]).clamp(min=1)


def laplacian_l1_loss(
    prediction: Tensor, target: Tensor, pixel_weights: Tensor, num_levels: int = 3
) -> Tensor:
    """Compare the bands of Laplacian pyramids, so that edges count as much as areas.

    Args:
        prediction: RGB. [B, 3, S, S]
        target: RGB. [B, 3, S, S]
        pixel_weights: weights of pixels. [B, 1, S, S]
        num_levels: bands of the pyramid; S is divisible by 2 to this power.

    Returns:
        Sum over the bands of their weighted mean absolute differences. []

    Source: Bojanowski et al. 2018, "Optimizing the Latent Space of Generative Networks" (arXiv
    1707.05776), section 3; without the paper's weights of the levels.
    """
    total = prediction.new_zeros(())
    for _ in range(num_levels):
        small = [F.avg_pool2d(image, 2) for image in (prediction, target, pixel_weights)]
        # A band is an image minus what the next smaller one shows of it.
        bands = [
            image - F.interpolate(less, scale_factor=2, mode="bilinear", align_corners=False)
            for image, less in ((prediction, small[0]), (target, small[1]))
        ]
        total = total + weighted_l1_loss(bands[0], bands[1], pixel_weights)
        prediction, target, pixel_weights = small
    return total


def detail_energy_loss(
    prediction: Tensor, target: Tensor, pixel_weights: Tensor, num_levels: int = 2
) -> Tensor:
    """Compare the amount of fine detail in each neighborhood of 8 px.

    The average of several guesses lowers l1 and every other loss that compares pixel by pixel, but
    it looks soft. The amount of detail does not depend on where exactly each detail is, so this
    loss penalizes softness without a discriminator.

    Args:
        prediction: RGB. [B, 3, S, S]
        target: RGB. [B, 3, S, S]
        pixel_weights: weights of pixels. [B, 1, S, S]
        num_levels: finest bands to compare; S is divisible by 2 to this power and by 8.

    Returns:
        Sum over the bands of the weighted mean difference of the root mean squares. []
    """
    total = prediction.new_zeros(())
    for level in range(num_levels):
        small = [F.avg_pool2d(image, 2) for image in (prediction, target, pixel_weights)]
        # Root mean squares of the band in cells of 8 px.
        energies = []
        for image, less in ((prediction, small[0]), (target, small[1])):
            band = image - F.interpolate(less, scale_factor=2, mode="bilinear", align_corners=False)
            # 8 px of the full image at every level. The small number keeps the root's gradient
            # finite where an image is flat.
            energies.append((F.avg_pool2d(band**2, 8 >> level) + 1e-6).sqrt())
        cell_weights = F.avg_pool2d(pixel_weights, 8 >> level)
        total = total + weighted_l1_loss(energies[0], energies[1], cell_weights)
        prediction, target, pixel_weights = small
    return total
