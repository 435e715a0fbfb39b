"""Fine detail that blending and resampling took away, given back.

References that lie a fraction of a pixel apart lose their finest detail in the average, and each
loses some already by being sampled between its pixels: mouths come out soft. How much detail
there should be is known, from the references as filmed. So the detail that is left in the blend
is amplified until its local energy is that of the references. Nothing is invented: where they
show none, none appears.
"""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F

# More than this would amplify noise and ringing where nearly all detail cancelled.
MAX_DETAIL_GAIN = 2.5
# Local energy is an average over this many times the scale of the detail.
ENERGY_WINDOW_FACTOR = 9
# Below this energy (standard deviation of half a grey level) there is nothing but rounding.
MIN_DETAIL_ENERGY = (0.5 / 255) ** 2


def extract_high_frequencies(images: Tensor, scale_px: int) -> Tensor:
    """What is finer than about ``scale_px`` px. Same shape as ``images`` [N, C, H, W]."""
    return images - _box_mean(images, 2 * scale_px + 1)


def local_detail_energy(images: Tensor, scale_px: int) -> Tensor:
    """Mean square of the fine detail around each pixel, over the channels. [N, 1, H, W]"""
    squared = extract_high_frequencies(images, scale_px).square().mean(1, keepdim=True)
    return _box_mean(squared, ENERGY_WINDOW_FACTOR * scale_px // 2 * 2 + 1)


def restore_high_frequencies(images: Tensor, target_energy: Tensor, scale_px: int) -> Tensor:
    """Amplify the fine detail of ``images`` to an energy, never weaken it.

    Args:
        images: [N, C, H, W] in [0, 1].
        target_energy: what `local_detail_energy` should be. [N, 1, H, W]
        scale_px: of the detail, px.
    """
    fine = extract_high_frequencies(images, scale_px)
    has = _box_mean(
        fine.square().mean(1, keepdim=True), ENERGY_WINDOW_FACTOR * scale_px // 2 * 2 + 1
    )
    gain = (
        ((target_energy + MIN_DETAIL_ENERGY) / (has + MIN_DETAIL_ENERGY))
        .sqrt()
        .clamp(1, MAX_DETAIL_GAIN)
    )
    return images + (gain - 1) * fine


def _box_mean(images: Tensor, box_size: int) -> Tensor:
    """Mean over a square around each pixel; at the border over what is there."""
    across = F.avg_pool2d(images, (1, box_size), 1, (0, box_size // 2), count_include_pad=False)
    return F.avg_pool2d(across, (box_size, 1), 1, (box_size // 2, 0), count_include_pad=False)
