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
        Features, zero where ``mask`` is False. [B, C, H, W]
    """
    batch, channels = texture.shape[:2]
    sampled = torch.empty(batch, channels, *uv.shape[1:3])
    for row in range(batch):
        _sample_kernel(
            to_array(texture[row].permute(1, 2, 0)),
            to_array(uv[row]),
            to_array(mask[row]),
            sampled[row].numpy(),
        )
    return sampled


@njit_cached_fast
def _sample_kernel(texture, uv, mask, sampled):
    """Fill ``sampled`` [C, H, W] from a texture [Ht, Wt, C]."""
    height, width, channels = texture.shape
    right, low = np.float32(width - 1), np.float32(height - 1)
    mixed = np.empty(channels, np.float32)
    for row in range(uv.shape[0]):
        for column in range(uv.shape[1]):
            if not mask[row, column]:
                for c in range(channels):
                    sampled[c, row, column] = ZERO
                continue
            x = min(max(uv[row, column, 0] * np.float32(width) - HALF, ZERO), right)
            y = min(max(uv[row, column, 1] * np.float32(height) - HALF, ZERO), low)
            x0, y0 = int(x), int(y)
            x1, y1 = min(x0 + 1, width - 1), min(y0 + 1, height - 1)
            across, down = x - np.float32(x0), y - np.float32(y0)
            for c in range(channels):
                upper = texture[y0, x0, c]
                upper += across * (texture[y0, x1, c] - upper)
                lower = texture[y1, x0, c]
                lower += across * (texture[y1, x1, c] - lower)
                mixed[c] = upper + down * (lower - upper)
            for c in range(channels):
                sampled[c, row, column] = mixed[c]
