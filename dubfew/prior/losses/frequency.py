"""Losses on the spectra of images."""

from __future__ import annotations

import torch
from torch import Tensor


def focal_frequency_loss(prediction: Tensor, target: Tensor, pixel_weights: Tensor) -> Tensor:
    """Compare spectra, with more weight on frequencies that differ more.

    Args:
        prediction: RGB. [B, 3, S, S]
        target: RGB. [B, 3, S, S]
        pixel_weights: weights of pixels, applied before the transform. [B, 1, S, S]

    Returns:
        Mean weighted squared distance. []

    Source: Jiang et al. 2021, "Focal Frequency Loss for Image Reconstruction and Synthesis" (arXiv
    2012.12821), eq. 8 with alpha 1; used for dubbing by Muaz et al. 2023, "SIDGAN: High-Resolution
    Dubbed Video Generation via Shift-Invariant Learning", section 3.3.3.
    """
    relative = pixel_weights / pixel_weights.amax((2, 3), keepdim=True).clamp(min=1e-6)
    return _focus_spectrum(torch.fft.rfft2((prediction - target) * relative, norm="ortho"))


def plain_focal_frequency_loss(prediction: Tensor, target: Tensor) -> Tensor:
    """Compare spectra of whole images, as published: no weights of pixels, all frequencies.

    Args:
        prediction: RGB. [B, 3, H, W]
        target: RGB. [B, 3, H, W]

    Returns:
        Mean weighted squared distance. []

    Source: as for `focal_frequency_loss`, with the published code's alpha 1 and orthonormal
    transform of whole images.
    """
    return _focus_spectrum(torch.fft.fft2(prediction.float() - target.float(), norm="ortho"))


def _focus_spectrum(difference: Tensor) -> Tensor:
    """Average the squares of a spectrum's values, weighted by their size. []"""
    distance = difference.real**2 + difference.imag**2
    # The weights in [0, 1] follow the distances but get no gradient.
    focus = distance.detach().sqrt()
    focus = focus / focus.amax((-2, -1), keepdim=True).clamp(min=1e-8)
    return (focus * distance).mean()
