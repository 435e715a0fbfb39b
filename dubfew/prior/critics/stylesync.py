"""StyleGAN2's residual critic, which judges all frames of a window at once.

Source: Saunders and Namboodiri 2024, "Dubbing for Everyone" (arXiv 2401.06126), section 3.4, takes
StyleSync's discriminator, whose code is not published; StyleSync builds on StyleGAN2: Karras et
al. 2020, "Analyzing and Improving the Image Quality of StyleGAN" (arXiv 1912.04958), figure 7.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dubfew.prior.renderers._stylesync import (
    GENERATOR_WIDTHS,
    LEAKY_RELU_SLOPE,
    _narrowed,
    activate,
    downsampling_blur,
)

# Samples whose deviation from each other is shown to the critic, as in StyleGAN2.
DEVIATION_GROUP = 4


class CriticBlock(nn.Module):
    """Residual block that halves the size."""

    def __init__(self, inputs: int, outputs: int) -> None:
        """Make a block."""
        super().__init__()
        self.first = nn.Conv2d(inputs, inputs, 3, padding=1)
        self.second = nn.Conv2d(inputs, outputs, 3, stride=2)
        self.skip = nn.Conv2d(inputs, outputs, 1, stride=2, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Transform features [B, C, h, w] to half the size."""
        y = activate(self.second(downsampling_blur(activate(self.first(x)))))
        # The blur is one pixel larger each way than the size that the skip has.
        skip = self.skip(downsampling_blur(x)[:, :, 1:-1, 1:-1])
        return (y + skip) / 2**0.5


class StyleSyncCritic(nn.Module):
    """Critic of windows; see the module's docstring."""

    def __init__(self, size: int, frames: int, narrow: int = 1) -> None:
        """Make a network with fresh weights.

        Args:
            size: edge of the pictures, a power of 2, px.
            frames: frames of a window, T.
            narrow: divisor of all widths, for tests.
        """
        super().__init__()
        sizes = [2**k for k in range(2, size.bit_length())]
        widths = {s: _narrowed(GENERATOR_WIDTHS.get(s, 128), narrow) for s in sizes}
        self.enter = nn.Conv2d(3 * frames, widths[size], 1)
        self.blocks = nn.ModuleList(CriticBlock(widths[s], widths[s // 2]) for s in sizes[:0:-1])
        last = widths[4]
        self.leave = nn.Conv2d(last + 1, last, 3, padding=1)
        self.dense = nn.Linear(last * 16, last)
        self.logit = nn.Linear(last, 1)
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                nn.init.normal_(module.weight, std=module.weight[0].numel() ** -0.5)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)

    def forward(self, frames: Tensor, parts: int = 1) -> Tensor:
        """Judge windows.

        Args:
            frames: RGB in [0, 1]. [B, T, 3, S, S]
            parts: batches of one size that lie one after the other and are judged each by itself,
                such as real windows and painted ones.

        Returns:
            Near 1 for windows of real frames, near 0 for painted ones. [B, 1]
        """
        x = F.leaky_relu(self.enter(frames.flatten(1, 2) * 2 - 1), LEAKY_RELU_SLOPE)
        for block in self.blocks:
            x = block(x)
        deviation = torch.cat([_deviation(part) for part in x.chunk(parts)])
        x = activate(self.leave(torch.cat([x, deviation], 1)))
        return self.logit(activate(self.dense(x.flatten(1))))


def _deviation(x: Tensor) -> Tensor:
    """Average the deviation of the samples of a group from each other. [B, 1, h, w]

    Source: Karras et al. 2018, "Progressive Growing of GANs" (arXiv 1710.10196), section 3.
    """
    count = len(x)
    group = DEVIATION_GROUP if count % DEVIATION_GROUP == 0 else count
    grouped = x.float().reshape(group, count // group, *x.shape[1:])
    # A small number keeps the root's gradient finite where all samples are the same.
    deviation = (grouped.var(0, unbiased=False) + 1e-8).sqrt().mean((1, 2, 3))
    return deviation.repeat(group)[:, None, None, None].expand(-1, 1, *x.shape[2:]).to(x)
