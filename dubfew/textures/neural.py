"""Neural textures: their parameters, the lookup at the pixels of a frame, and their regularizer."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dubfew.errors import ShapeError
from dubfew.textures.sampling_kernel import sample_with_kernel
from dubfew.utils.kernel_tensors import fits_kernels

# Features of each texel; the first three resemble RGB. The paper's number (Saunders and Namboodiri
# 2024, sec. 4). More cost memory in every layer that sees the texture.
TEXTURE_CHANNELS = 16
# Edge of a texture, texels. The paper's number, too: about one texel per pixel of a face that is
# 256 px wide. A larger texture has texels that a few seconds of footage never show.
TEXTURE_SIZE = 256
# Standard deviation of new features. Small against colors in [0, 1], so that a new texture looks
# like its RGB part; larger features are noise that the renderer must first learn to ignore.
INITIAL_FEATURE_STD = 0.05


class NeuralTexture(nn.Module):
    """Learned features on the head's surface, one image per actor.

    Attributes:
        features: the images, unbounded; the first three channels resemble RGB. [A, C, H, W]

    Source: Thies et al. 2019, Deferred Neural Rendering: Image Synthesis using Neural Textures
    (arXiv 1904.12356), sec. 4; one texture per actor after Saunders and Namboodiri 2024, Dubbing
    for Everyone: Data-Efficient Visual Dubbing using Neural Rendering Priors (arXiv 2401.06126),
    sec. 3.3.
    """

    def __init__(
        self, num_actors: int = 1, channels: int = TEXTURE_CHANNELS, size: int = TEXTURE_SIZE
    ) -> None:
        """Start from random features.

        Args:
            num_actors: number of textures, A.
            channels: features of each texel, C, at least 3.
            size: edge of a texture, texels.
        """
        super().__init__()
        self.features = nn.Parameter(
            torch.randn(num_actors, channels, size, size) * INITIAL_FEATURE_STD
        )

    def forward(
        self,
        actor_index: Tensor,  # [B]
        uv: Tensor,  # [B, H, W, 2]
        mask: Tensor,  # [B, H, W]
    ) -> Tensor:  # [B, C, H, W]
        """Look up the features of some actors at every covered pixel, see `sample_texture`.

        Args:
            actor_index: row of the texture that each frame shows. [B] int64
            uv: texture coordinates in [0, 1]. [B, H, W, 2]
            mask: True where the mesh covers the pixel. [B, H, W]

        Returns:
            Screen features, zero where ``mask`` is False. [B, C, H, W]

        Raises:
            ShapeError: The shapes do not fit together.
        """
        return sample_texture(self.features[actor_index], uv, mask)

    @torch.no_grad()
    def initialize_from_image(
        self,
        actor_index: int,
        rgb: Tensor,  # [3, H, W]
    ) -> None:
        """Set the first three channels of one actor to an unwrapped photograph.

        Args:
            actor_index: row of the texture.
            rgb: photograph in the texture's layout, in [0, 1], of any size. [3, H, W]
        """
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
        uv: texture coordinates in [0, 1], origin top left, texel centers at +0.5. [B, H, W, 2]
        mask: True where the mesh covers the pixel. [B, H, W]

    Returns:
        Screen features, zero where ``mask`` is False. [B, C, H, W]

    Raises:
        ShapeError: Batch sizes differ, or ``uv`` does not end in 2.

    Source: Thies et al. 2019, Deferred Neural Rendering: Image Synthesis using Neural Textures
    (arXiv 1904.12356), sec. 4.

    Example:
        >>> texture = torch.tensor([[[[1.0, 2.0], [3.0, 4.0]]]])
        >>> uv = torch.tensor([[[[0.25, 0.25], [0.5, 0.5]]]])  # a texel's center, and between four
        >>> sample_texture(texture, uv, torch.ones(1, 1, 2) > 0).tolist()
        [[[[1.0, 2.5]]]]
    """
    if uv.ndim != 4 or uv.shape[-1] != 2 or len(uv) != len(texture) or mask.shape != uv.shape[:3]:
        raise ShapeError(
            f"texture {tuple(texture.shape)}, uv {tuple(uv.shape)} and mask {tuple(mask.shape)} "
            "do not fit: expected [B, C, Ht, Wt], [B, H, W, 2] and [B, H, W]"
        )
    if fits_kernels(texture):
        return sample_with_kernel(texture, uv, mask)
    sampled = F.grid_sample(
        texture, uv * 2 - 1, mode="bilinear", padding_mode="border", align_corners=False
    )
    return sampled * mask[:, None].to(sampled)


def texture_regularization_loss(
    sampled_features: Tensor,  # [B, C, H, W]
    target: Tensor,  # [B, 3, H, W]
    mask: Tensor,  # [B, 1, H, W]
) -> Tensor:  # []
    """Compute how far the first three channels are from a plain RGB texture.

    Args:
        sampled_features: what `sample_texture` gave. [B, C, H, W]
        target: the true frames in [0, 1]. [B, 3, H, W]
        mask: 1 where the mesh covers the pixel, 0 elsewhere. [B, 1, H, W]

    Returns:
        Mean absolute difference over the covered pixels; 0 where nothing is covered. []

    Source: Saunders and Namboodiri 2024, Dubbing for Everyone: Data-Efficient Visual Dubbing using
    Neural Rendering Priors (arXiv 2401.06126), sec. 3.4, L_reg.
    """
    difference = (sampled_features[:, :3] - target).abs() * mask
    return difference.sum() / (3 * mask.sum()).clamp(min=1)
