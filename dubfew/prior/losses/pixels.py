"""Losses on pixels and their differences."""

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
    """Weight of every pixel: none outside the mask, most in the mouth.

    Args:
        alpha: opacity of the paint; what is not painted is not judged. [B, 1, S, S]
        mouth_box: box of the lips: left, top, right, bottom, px. [B, 4]
        lower_weight: of the painted pixels.
        mouth_weight: of those in the box.

    Source: paper 003, sec. 3.4: the mouth at ten, the lower face at eight times the rest. Here
    nothing but the lower face is ever painted, and a ratio of three kept chins steadier.
    """
    size = alpha.shape[-1]
    at = torch.arange(size, device=alpha.device) + 0.5
    x = (at >= mouth_box[:, :1]) & (at < mouth_box[:, 2:3])
    y = (at >= mouth_box[:, 1:2]) & (at < mouth_box[:, 3:4])
    box = (y[:, :, None] & x[:, None, :])[:, None].to(alpha)
    return (lower_weight + (mouth_weight - lower_weight) * box) * alpha


def weighted_l1_loss(prediction: Tensor, target: Tensor, pixel_weights: Tensor) -> Tensor:
    """Mean absolute difference [B, C, S, S] under weights [B, 1, S, S]. []"""
    total = ((prediction - target).abs() * pixel_weights).sum()
    return total / (pixel_weights.sum() * prediction.shape[1]).clamp(min=1)


def laplacian_l1_loss(
    prediction: Tensor, target: Tensor, pixel_weights: Tensor, num_levels: int = 3
) -> Tensor:
    """The same on the bands of a Laplacian pyramid: edges count as much as areas. []

    Source: Bojanowski et al. 2018, Optimizing the Latent Space of Generative Networks, sec. 3.
    """
    total = prediction.new_zeros(())
    for _ in range(num_levels):
        small = [F.avg_pool2d(image, 2) for image in (prediction, target, pixel_weights)]
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
    """Difference of how much fine detail there is in each neighbourhood of 8 px. []

    Averaging several guesses lowers l1 and every other loss that compares pixel by pixel, and
    looks soft. How much detail there is can be judged without its lying at the same pixel, so
    softness costs here what it gains there, with no discriminator.
    """
    total = prediction.new_zeros(())
    for level in range(num_levels):
        small = [F.avg_pool2d(image, 2) for image in (prediction, target, pixel_weights)]
        energies = []
        for image, less in ((prediction, small[0]), (target, small[1])):
            band = image - F.interpolate(less, scale_factor=2, mode="bilinear", align_corners=False)
            energies.append((F.avg_pool2d(band**2, 8 >> level) + 1e-6).sqrt())
        here = F.avg_pool2d(pixel_weights, 8 >> level)
        total = total + weighted_l1_loss(energies[0], energies[1], here)
        prediction, target, pixel_weights = small
    return total
