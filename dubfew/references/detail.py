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
LARGEST_GAIN = 2.5
# Local energy is an average over this many times the scale of the detail.
NEIGHBOURHOOD = 9
# Below this energy (standard deviation of half a grey level) there is nothing but rounding.
FLOOR = (0.5 / 255) ** 2


def detail(images: Tensor, scale: int) -> Tensor:
    """What is finer than about ``scale`` px. Same shape as ``images`` [N, C, H, W]."""
    return images - _mean(images, 2 * scale + 1)


def detail_energy(images: Tensor, scale: int) -> Tensor:
    """Mean square of the fine detail around each pixel, over the channels. [N, 1, H, W]"""
    squared = detail(images, scale).square().mean(1, keepdim=True)
    return _mean(squared, NEIGHBOURHOOD * scale // 2 * 2 + 1)


def restore(images: Tensor, energy: Tensor, scale: int) -> Tensor:
    """Amplify the fine detail of ``images`` to an energy, never weaken it.

    Args:
        images: [N, C, H, W] in [0, 1].
        energy: what `detail_energy` should be. [N, 1, H, W]
        scale: of the detail, px.
    """
    fine = detail(images, scale)
    has = _mean(fine.square().mean(1, keepdim=True), NEIGHBOURHOOD * scale // 2 * 2 + 1)
    gain = ((energy + FLOOR) / (has + FLOOR)).sqrt().clamp(1, LARGEST_GAIN)
    return images + (gain - 1) * fine


def _mean(images: Tensor, size: int) -> Tensor:
    """Mean over a square around each pixel; at the border over what is there."""
    across = F.avg_pool2d(images, (1, size), 1, (0, size // 2), count_include_pad=False)
    return F.avg_pool2d(across, (size, 1), 1, (size // 2, 0), count_include_pad=False)
