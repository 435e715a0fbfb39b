"""Losses on spectra."""

from __future__ import annotations

import torch
from torch import Tensor


def focal_frequency_loss(prediction: Tensor, target: Tensor, pixel_weights: Tensor) -> Tensor:
    """Distance of spectra, frequencies that are far off weighing more. []

    Args:
        prediction: RGB. [B, 3, S, S]
        target: RGB. [B, 3, S, S]
        pixel_weights: of pixels, applied before the transform. [B, 1, S, S]

    Source: Jiang et al. 2021, Focal Frequency Loss, eq. 8 with alpha 1; paper 002, sec. 3.
    """
    share = pixel_weights / pixel_weights.amax((2, 3), keepdim=True).clamp(min=1e-6)
    difference = torch.fft.rfft2((prediction - target) * share, norm="ortho")
    distance = difference.real**2 + difference.imag**2
    matrix = distance.detach().sqrt()
    matrix = matrix / matrix.amax((-2, -1), keepdim=True).clamp(min=1e-8)
    return (matrix * distance).mean()
