"""SIDGAN's critics: one network of patches for each level of the pyramid.

Source: Muaz et al. 2023, SIDGAN, section 3.4, which names the patch discriminators of Isola et al.
2017, "Image-to-Image Translation with Conditional Adversarial Networks" (arXiv 1611.07004), section
3.2.2 and appendix 6.1.2: patches of 70 px. Here they see no condition, and instance normalization
stands for the batch's, as a batch has few people.
"""

from __future__ import annotations

from torch import Tensor, nn

# Channels of the layers of a patch of 70 px, and the slope of their activations.
PATCH_WIDTHS = (64, 128, 256, 512)
LEAKY_RELU_SLOPE = 0.2


class PatchCritic(nn.Module):
    """Classifier of patches; see the module's docstring."""

    def __init__(self, narrow: int = 1) -> None:
        """Make a network with fresh weights.

        Args:
            narrow: divides the channels of all layers, for small networks.
        """
        super().__init__()
        layers: list[nn.Module] = []
        before = 3
        for number, full_width in enumerate(PATCH_WIDTHS):
            width = max(4, full_width // narrow)
            # All but the last halve the size; the first is not normalized.
            stride = 1 if number == len(PATCH_WIDTHS) - 1 else 2
            layers.append(nn.Conv2d(before, width, 4, stride, 1))
            if number:
                layers.append(nn.InstanceNorm2d(width))
            layers.append(nn.LeakyReLU(LEAKY_RELU_SLOPE))
            before = width
        self.layers = nn.Sequential(*layers, nn.Conv2d(before, 1, 4, 1, 1))

    def forward(self, pictures: Tensor) -> Tensor:
        """Classify patches.

        Args:
            pictures: RGB in [0, 1], at least 32 px wide and high. [B, 3, H, W]

        Returns:
            Near 1 for patches of real pictures, near 0 for painted ones. [B, 1, h, w]
        """
        return self.layers(pictures * 2 - 1)
