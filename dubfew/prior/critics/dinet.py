"""DINet's critic: judges patches of a frame, or of several consecutive frames at once.

Source: Zhang et al. 2023, "DINet" (arXiv 2303.03988), text after eq. 5: one critic for single
frames, one for five consecutive frames. The layers, in the paper's supplement, are those of the
published code.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

from torch import Tensor, nn
from torch.nn import functional as F

# Slope of the activations for negative inputs; 0 would stop their gradients.
LEAKY_RELU_SLOPE = 0.2
# Edge of the kernels, which see no padding: no patch shows anything beside the frame.
KERNEL_PX = 4


@dataclass(frozen=True)
class DINetCriticConfig:
    """Sizes of a `DINetCritic`.

    Attributes:
        frames: frames that are judged at once: 1 or, for the critic of clips, 5.
        widths: channels of the layers; all but the last halve the size.
    """

    frames: int = 1
    widths: tuple[int, ...] = (128, 256, 256, 256)


class DINetCritic(nn.Module):
    """Patch classifier of frames stacked on their channels; see the module's docstring."""

    def __init__(self, config: DINetCriticConfig | None = None) -> None:
        """Make a network with fresh weights."""
        super().__init__()
        self.config = config = config or DINetCriticConfig()
        widths = (3 * config.frames, *config.widths)
        self.layers = nn.ModuleList(nn.Conv2d(a, b, KERNEL_PX) for a, b in pairwise(widths))
        self.logits = nn.Conv2d(widths[-1], 1, 1)

    def forward(self, frames: Tensor) -> Tensor:
        """Classify patches.

        Args:
            frames: RGB in [0, 1] of consecutive frames, at least 53 px high and wide for
                four layers. [B, T, 3, H, W]

        Returns:
            Near 1 for patches of real frames, near 0 for painted ones. [B, 1, h, w]
        """
        x = frames.flatten(1, 2)
        for number, layer in enumerate(self.layers, 1):
            x = F.leaky_relu(layer(x), LEAKY_RELU_SLOPE)
            if number < len(self.layers):
                x = F.avg_pool2d(x, 2)
        return self.logits(x)
