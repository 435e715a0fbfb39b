"""The contextual loss: compare the features of two images, wherever they lie."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from dubfew.prior.losses.vgg import Vgg19

# Layer of VGG-19 that the loss compares.
# Source: Muaz et al. 2023, SIDGAN, eq. 3.
CONTEXTUAL_LAYER = "relu5_3"
# Width of the kernel, h: smaller values let only the nearest feature count. And the distance that
# is added to the least one, so that equal features divide by no zero.
# Source: Mechrez et al. 2018, section 3.2.
CONTEXTUAL_BANDWIDTH, CONTEXTUAL_EPSILON = 0.5, 1e-5


def contextual_similarity(
    features: Tensor,  # [B, C, h, w]
    target: Tensor,  # [B, C, h', w']
    bandwidth: float = CONTEXTUAL_BANDWIDTH,
) -> Tensor:  # [B]
    """Measure how many of the target's features have one of their own among an image's features.

    Args:
        features: features of the image. [B, C, h, w]
        target: features of the truth. [B, C, h', w']
        bandwidth: width of the kernel.

    Returns:
        Similarity from 0 to 1. It does not depend on the order of the positions. [B]

    Source: Mechrez et al. 2018, "The Contextual Loss for Image Transformation with Non-Aligned
    Data" (arXiv 1803.02077), eq. 1 to 4. The mean that is taken out is that of the truth's
    own picture.
    """
    # Half precision cannot hold the differences of cosines.
    x, y = features.float().flatten(2), target.float().flatten(2)
    with torch.autocast(x.device.type, enabled=False):
        mean = y.mean(2, keepdim=True)
        x, y = F.normalize(x - mean, dim=1), F.normalize(y - mean, dim=1)
        # Rows are the image's positions i, columns the truth's j.
        distance = (1 - x.transpose(1, 2) @ y).clamp(min=0)
        least = distance.amin(2, keepdim=True)
        # The kernel exp((1 - d / least) / h), divided by its sum over j.
        affinity = (-distance / (least + CONTEXTUAL_EPSILON) / bandwidth).softmax(2)
        return affinity.amax(1).mean(1)


def contextual_loss(vgg: Vgg19, prediction: Tensor, target: Tensor) -> Tensor:
    """Compare two images by which features they have, wherever these lie.

    Args:
        vgg: the network of the features.
        prediction: RGB in [0, 1]. [B, 3, H, W]
        target: RGB in [0, 1]. [B, 3, H, W]

    Returns:
        Mean of the negative logarithm of `contextual_similarity`. []

    Source: Muaz et al. 2023, "SIDGAN: High-Resolution Dubbed Video Generation via Shift-Invariant
    Learning", eq. 3.
    """
    with torch.no_grad():
        (truth,) = vgg(target, (CONTEXTUAL_LAYER,))
    (features,) = vgg(prediction, (CONTEXTUAL_LAYER,))
    return -contextual_similarity(features, truth).clamp(min=1e-8).log().mean()
