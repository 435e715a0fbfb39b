"""Neural textures: parameters, sampling, regulariser."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dubfew.errors import ShapeError

TEXTURE_CHANNELS = 16
TEXTURE_SIZE = 256
# Features beyond RGB start small, so that a fresh texture looks like its RGB part.
INITIAL_FEATURE_STD = 0.05


class NeuralTexture(nn.Module):
    """One learned image per actor, [A, C, H, W]; the first three channels resemble RGB.

    Source: Thies et al. 2019, Deferred Neural Rendering, sec. 4; paper 003, sec. 3.3.
    """

    def __init__(
        self, num_actors: int = 1, channels: int = TEXTURE_CHANNELS, size: int = TEXTURE_SIZE
    ) -> None:
        super().__init__()
        self.features = nn.Parameter(
            torch.randn(num_actors, channels, size, size) * INITIAL_FEATURE_STD
        )

    def forward(self, actor_index: Tensor, uv: Tensor, mask: Tensor) -> Tensor:
        """Features [B, C, H, W] of actors [B] at ``uv`` [B, H, W, 2], see `sample_texture`."""
        return sample_texture(self.features[actor_index], uv, mask)

    @torch.no_grad()
    def initialize_from_image(self, actor_index: int, rgb: Tensor) -> None:
        """Give one actor's first three channels an unwrapped photograph. [3, H, W] in [0, 1]"""
        size = self.features.shape[-1]
        image = F.interpolate(rgb[None], size=(size, size), mode="bilinear", antialias=True)
        self.features[actor_index, :3] = image[0].to(self.features)


def sample_texture(
    texture: Tensor,  # [B, C, Ht, Wt]
    uv: Tensor,  # [B, H, W, 2]
    mask: Tensor,  # [B, H, W]
) -> Tensor:  # [B, C, H, W]
    """Look up a neural texture at every covered pixel.

    Differentiable in ``texture``; bilinear, clamped at the border.

    Args:
        texture: learned features, unbounded. [B, C, Ht, Wt]
        uv: texture coordinates in [0, 1], origin top left, texel centres at +0.5. [B, H, W, 2]
        mask: True where the mesh covers the pixel. [B, H, W]

    Returns:
        Screen features, zero where ``mask`` is False. [B, C, H, W]

    Raises:
        ShapeError: if batch sizes differ or ``uv`` does not end in 2.

    Source: Thies et al. 2019, Deferred Neural Rendering, sec. 4.
    """
    if uv.ndim != 4 or uv.shape[-1] != 2 or len(uv) != len(texture) or mask.shape != uv.shape[:3]:
        raise ShapeError(
            f"texture {tuple(texture.shape)}, uv {tuple(uv.shape)} and mask {tuple(mask.shape)} "
            "do not fit: expected [B, C, Ht, Wt], [B, H, W, 2] and [B, H, W]"
        )
    sampled = F.grid_sample(
        texture, uv * 2 - 1, mode="bilinear", padding_mode="border", align_corners=False
    )
    return sampled * mask[:, None].to(sampled)


def texture_regularization_loss(
    sampled_features: Tensor,  # [B, C, H, W]
    target: Tensor,  # [B, 3, H, W]
    mask: Tensor,  # [B, 1, H, W]
) -> Tensor:  # []
    """Keep the first three channels close to a plain RGB texture.

    Source: paper 003, sec. 3.4, L_reg.
    """
    difference = (sampled_features[:, :3] - target).abs() * mask
    return difference.sum() / (3 * mask.sum()).clamp(min=1)
