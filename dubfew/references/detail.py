"""Restore the fine detail that blending and resampling took away.

References that lie a fraction of a pixel apart lose their finest detail in the average, and each
loses some already by being sampled between its pixels: mouths come out soft. The references as
filmed show how much detail there should be. So the detail that is left in the blend is amplified
until its local energy is that of the references. Nothing is invented: where the references have no
detail, none appears.
"""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F

# Largest amplification of the detail. More would amplify noise and ringing where nearly all detail
# canceled; less leaves mouths soft.
MAX_DETAIL_GAIN = 2.5
# Edge of the square over which energy is averaged, in units of the detail's scale. Smaller squares
# follow single hairs and pores, which lie elsewhere in the blend; larger ones mix lips and teeth.
ENERGY_WINDOW_FACTOR = 9
# Energy below which there is nothing but rounding: a standard deviation of half a gray level.
MIN_DETAIL_ENERGY = (0.5 / 255) ** 2


def extract_high_frequencies(images: Tensor, scale_px: int) -> Tensor:
    """Subtract from images what is coarser than a scale.

    Args:
        images: any images. [N, C, H, W]
        scale_px: size of the finest structure that is taken away, px.

    Returns:
        The fine detail, around 0. [N, C, H, W]
    """
    return images - _box_mean(images, 2 * scale_px + 1)


def local_detail_energy(images: Tensor, scale_px: int) -> Tensor:
    """Compute the mean square of the fine detail around each pixel, over the channels.

    Args:
        images: images in [0, 1]. [N, C, H, W]
        scale_px: scale of the detail, px, see `extract_high_frequencies`.

    Returns:
        Energy, at least 0. [N, 1, H, W]
    """
    return _local_energy(extract_high_frequencies(images, scale_px), scale_px)


def restore_high_frequencies(images: Tensor, target_energy: Tensor, scale_px: int) -> Tensor:
    """Amplify the fine detail of images to an energy; never weaken it.

    Args:
        images: blended images in [0, 1]. [N, C, H, W]
        target_energy: energy that the result should have, from `local_detail_energy` of the
            references. [N, 1, H, W]
        scale_px: scale of the detail, px.

    Returns:
        Images with more detail, which may leave [0, 1]. [N, C, H, W]
    """
    fine = extract_high_frequencies(images, scale_px)
    energy = _local_energy(fine, scale_px)
    # Rounding on both sides: flat regions have a gain of 1.
    gain = ((target_energy + MIN_DETAIL_ENERGY) / (energy + MIN_DETAIL_ENERGY)).sqrt()
    return images + (gain.clamp(1, MAX_DETAIL_GAIN) - 1) * fine


def _local_energy(fine: Tensor, scale_px: int) -> Tensor:
    """Average the square of detail over channels and a square of odd edge. [N, 1, H, W]"""
    squared = fine.square().mean(1, keepdim=True)
    return _box_mean(squared, ENERGY_WINDOW_FACTOR * scale_px // 2 * 2 + 1)


def _box_mean(images: Tensor, box_size: int) -> Tensor:
    """Average over a square around each pixel; at the border over its part inside the image."""
    across = F.avg_pool2d(images, (1, box_size), 1, (0, box_size // 2), count_include_pad=False)
    return F.avg_pool2d(across, (box_size, 1), 1, (box_size // 2, 0), count_include_pad=False)
