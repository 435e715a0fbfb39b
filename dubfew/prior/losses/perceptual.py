"""Losses on the features of VGG-19."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from dubfew.prior.losses.pixels import weighted_l1_loss
from dubfew.prior.losses.vgg import Vgg19

# Weights of the five layers, finest first. Coarse features depend on what is seen rather than on
# pixels and are smaller in size, so that they get more weight.
# Source: Wang et al. 2018, pix2pixHD (arXiv 1711.11585), the published code.
VGG19_LAYER_WEIGHTS = (1 / 32, 1 / 16, 1 / 8, 1 / 4, 1.0)


def perceptual_and_style_losses(
    vgg: Vgg19, prediction: Tensor, target: Tensor, pixel_weights: Tensor
) -> dict[str, Tensor]:
    """Compare two images by the features of an image classifier.

    Args:
        vgg: the classifier.
        prediction: RGB in [0, 1], equal to the target outside the mask. [B, 3, S, S]
        target: RGB in [0, 1]. [B, 3, S, S]
        pixel_weights: weights of pixels. [B, 1, S, S]

    Returns:
        ``perceptual``, the l1 distance of features, and ``style``, the l1 distance of their Gram
        matrices, each under the weights and summed over the layers with `VGG19_LAYER_WEIGHTS`.

    Source: Johnson et al. 2016, "Perceptual Losses for Real-Time Style Transfer and
    Super-Resolution" (arXiv 1603.08155), section 3; l1 of Gram matrices as in Liu et al. 2018,
    "Image Inpainting for Irregular Holes Using Partial Convolutions" (arXiv 1804.07723), eq. 4.
    """
    with torch.no_grad():
        target_features = vgg(target)
    content, style = prediction.new_zeros(()), prediction.new_zeros(())
    for layer_weight, a, b in zip(
        VGG19_LAYER_WEIGHTS, vgg(prediction), target_features, strict=True
    ):
        # Each layer is smaller than the image, and so are its weights.
        weights = F.adaptive_avg_pool2d(pixel_weights, (a.shape[-2], a.shape[-1]))
        content = content + layer_weight * weighted_l1_loss(a, b, weights)
        difference = _gram_matrix(a, weights) - _gram_matrix(b, weights)
        style = style + layer_weight * difference.abs().mean()
    return {"perceptual": content, "style": style}


def two_scale_perceptual_loss(vgg: Vgg19, prediction: Tensor, target: Tensor) -> Tensor:
    """Compare two images by VGG-19's features at full and at half size.

    All five layers and both scales count alike, and every pixel does: the networks that this loss
    trains paint the whole crop. The published code of DINet halves the two images by different
    filters, so that equal images have a loss; here both are halved by the mean of 2 x 2 px, which
    is bilinear reduction with pixel centers at +0.5.

    Args:
        vgg: the classifier.
        prediction: RGB in [0, 1]; H and W are even. [B, 3, H, W]
        target: RGB in [0, 1]. [B, 3, H, W]

    Returns:
        Mean absolute difference, over layers and scales. []

    Source: Zhang et al. 2023, "DINet: Deformation Inpainting Network for Realistic Face Visually
    Dubbing on High Resolution Video" (arXiv 2303.03988), eq. 2; IPTalker, eq. 8, is the same.
    """
    terms = []
    for scale in (1, 2):
        fake, real = (F.avg_pool2d(image, scale) for image in (prediction, target))
        with torch.no_grad():
            real_features = vgg(real)
        terms += [F.l1_loss(a, b) for a, b in zip(vgg(fake), real_features, strict=True)]
    return torch.stack(terms).mean()


def _gram_matrix(features: Tensor, pixel_weights: Tensor) -> Tensor:
    """Compute the weighted mean of the products of all pairs of channels. [B, C, C]"""
    normalized = pixel_weights / pixel_weights.sum((2, 3), keepdim=True).clamp(min=1e-6)
    features = features.float()
    # The weights of single pixels are too small for half precision.
    with torch.autocast(features.device.type, enabled=False):
        return torch.einsum("bchw,bdhw->bcd", features * normalized, features)
