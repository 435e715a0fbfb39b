"""Losses on the features of a trained network."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from dubfew.prior.losses.pixels import weighted_l1
from dubfew.prior.losses.vgg import Vgg19

# The coarser, the more a feature says about what is seen, and the smaller it is.
# Source: Wang et al. 2018, pix2pixHD, sec. 3.2 (its published code).
LAYERS = (1 / 32, 1 / 16, 1 / 8, 1 / 4, 1.0)


def perceptual_and_style(
    vgg: Vgg19, picture: Tensor, truth: Tensor, weights: Tensor
) -> dict[str, Tensor]:
    """How differently two pictures look to a network that knows things.

    Args:
        vgg: the network.
        picture: RGB; equal to the truth where nothing is painted. [B, 3, S, S]
        truth: RGB. [B, 3, S, S]
        weights: of pixels. [B, 1, S, S]

    Returns:
        "perceptual": l1 between features, and "style": l1 between their Gram matrices under the
        weights, both summed over the layers with `LAYERS`.

    Source: Johnson et al. 2016, Perceptual Losses, sec. 3; l1 between Gram matrices as in Liu et
    al. 2018, Partial Convolutions, eq. 4.
    """
    with torch.no_grad():
        wanted = vgg(truth)
    content, style = picture.new_zeros(()), picture.new_zeros(())
    for share, a, b in zip(LAYERS, vgg(picture), wanted, strict=True):
        here = F.adaptive_avg_pool2d(weights, (a.shape[-2], a.shape[-1]))
        content = content + share * weighted_l1(a, b, here)
        style = style + share * (_gram(a, here) - _gram(b, here)).abs().mean()
    return {"perceptual": content, "style": style}


def _gram(features: Tensor, weights: Tensor) -> Tensor:
    """Weighted mean of the products of all pairs of channels. [B, C, C]"""
    share = weights / weights.sum((2, 3), keepdim=True).clamp(min=1e-6)
    features = features.float()
    with torch.autocast(features.device.type, enabled=False):  # shares are too small for it
        return torch.einsum("bchw,bdhw->bcd", features * share, features)
