"""Sampling of a neural texture in a compiled loop, for renders on a CPU."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from dubfew.utils.jit import njit_cached_fast
from dubfew.utils.kernel_tensors import to_array

# Numbers in single precision: with Python's own, numba would compute in double precision.
ZERO, HALF = np.float32(0), np.float32(0.5)


def sample_with_kernel(texture: Tensor, uv: Tensor, mask: Tensor) -> Tensor:
    """Sample as `dubfew.textures.sample_texture` does, all features of a texel at once.

    Args:
        texture: features; no copy is made where the channels come last in memory. [B, C, Ht, Wt]
        uv: texture coordinates in [0, 1]. [B, H, W, 2]
        mask: True where the mesh covers the pixel. [B, H, W]

    Returns:
        Features, zero where ``mask`` is False; channels last in memory. [B, C, H, W]
    """
    sampled = torch.empty(*uv.shape[:3], texture.shape[1])
    for row in range(len(texture)):
        _sample_kernel(
            to_array(texture[row].permute(1, 2, 0)),
            to_array(uv[row]),
            to_array(mask[row]),
            sampled[row].numpy(),
        )
    return sampled.permute(0, 3, 1, 2)


@njit_cached_fast
def _sample_kernel(texture, uv, mask, sampled):
    """Fill ``sampled`` [H, W, C] from a texture [Ht, Wt, C]."""
    height, width, channels = texture.shape
    right, low = np.float32(width - 1), np.float32(height - 1)
    texels, features = texture.reshape(-1), sampled.reshape(-1)
    count = np.uint64(channels)
    for row in range(uv.shape[0]):
        for column in range(uv.shape[1]):
            # Unsigned: numba would look at each index for a negative one.
            place = np.uint64((row * uv.shape[1] + column) * channels)
            if not mask[row, column]:
                for c in range(count):
                    features[place + c] = ZERO
                continue
            x = min(max(uv[row, column, 0] * np.float32(width) - HALF, ZERO), right)
            y = min(max(uv[row, column, 1] * np.float32(height) - HALF, ZERO), low)
            x0, y0 = int(x), int(y)
            across, down = x - np.float32(x0), y - np.float32(y0)
            start = np.uint64((y0 * width + x0) * channels)
            beside = start + np.uint64(channels if x0 < width - 1 else 0)
            below = np.uint64(width * channels if y0 < height - 1 else 0)
            for c in range(count):
                upper = texels[start + c]
                upper += across * (texels[beside + c] - upper)
                lower = texels[start + below + c]
                lower += across * (texels[beside + below + c] - lower)
                features[place + c] = upper + down * (lower - upper)
