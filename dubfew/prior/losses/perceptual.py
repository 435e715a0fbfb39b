"""Losses on the features of a trained network."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from dubfew.prior.losses.pixels import weighted_l1_loss
from dubfew.prior.losses.vgg import Vgg19

# The coarser, the more a feature says about what is seen, and the smaller it is.
# Source: Wang et al. 2018, pix2pixHD, sec. 3.2 (its published code).
VGG19_LAYER_WEIGHTS = (1 / 32, 1 / 16, 1 / 8, 1 / 4, 1.0)


def perceptual_and_style_losses(
    vgg: Vgg19, prediction: Tensor, target: Tensor, pixel_weights: Tensor
) -> dict[str, Tensor]:
    """How differently two pictures look to a network that knows things.

    Args:
        vgg: the network.
        prediction: RGB; equal to the truth where nothing is painted. [B, 3, S, S]
        target: RGB. [B, 3, S, S]
        pixel_weights: of pixels. [B, 1, S, S]

    Returns:
        "perceptual": l1 between features, and "style": l1 between their Gram matrices under the
        weights, both summed over the layers with `VGG19_LAYER_WEIGHTS`.

    Source: Johnson et al. 2016, Perceptual Losses, sec. 3; l1 between Gram matrices as in Liu et
    al. 2018, Partial Convolutions, eq. 4.
    """
    with torch.no_grad():
        wanted = vgg(target)
    content, style = prediction.new_zeros(()), prediction.new_zeros(())
    for share, a, b in zip(VGG19_LAYER_WEIGHTS, vgg(prediction), wanted, strict=True):
        here = F.adaptive_avg_pool2d(pixel_weights, (a.shape[-2], a.shape[-1]))
        content = content + share * weighted_l1_loss(a, b, here)
        style = style + share * (_gram_matrix(a, here) - _gram_matrix(b, here)).abs().mean()
    return {"perceptual": content, "style": style}


def _gram_matrix(features: Tensor, pixel_weights: Tensor) -> Tensor:
    """Weighted mean of the products of all pairs of channels. [B, C, C]"""
    share = pixel_weights / pixel_weights.sum((2, 3), keepdim=True).clamp(min=1e-6)
    features = features.float()
    with torch.autocast(features.device.type, enabled=False):  # shares are too small for it
        return torch.einsum("bchw,bdhw->bcd", features * share, features)
