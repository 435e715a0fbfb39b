"""Compiled passes over the pixels of a warp, for renders on a CPU.

The same arithmetic as the operators of torch in `dubfew.references.warping`, to rounding: what
these do in sixteen passes over all references takes three here. The kernels release the GIL.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dubfew.references.light_kernels import HALF, ONE, ZERO, shrink_planes
from dubfew.utils.jit import njit_cached
from dubfew.utils.kernel_tensors import to_array


def shrink_tensor(images: Tensor, cell: int) -> Tensor:
    """Average images [..., H, W] over cells of ``cell`` px, as `avg_pool2d` does."""
    flat = images.contiguous().numpy().reshape(1, -1, *images.shape[-2:])
    shrunk = torch.from_numpy(shrink_planes(flat, cell))
    return shrunk.view(*images.shape[:-2], *shrunk.shape[-2:])


def average_differences(
    scene: Tensor,  # [B, 3, S, S]
    colors: Tensor,  # [B, K, 3, S, S]
    known: Tensor,  # [B, 1, S, S]
    limit: float,
    cell: int,
) -> Tensor:  # [B, K, 3, S / cell, S / cell]
    """Average the differences of a scene and references over cells, where they are known.

    Args:
        scene: RGB. [B, 3, S, S]
        colors: references in the scene's pose. [B, K, 3, S, S]
        known: part of each pixel that counts. [B, 1, S, S]
        limit: differences beyond it are clamped.
        cell: edge of a cell, px.

    Returns:
        Sums of difference times ``known``, over the number of pixels.
    """
    height, width = colors.shape[-2] // cell, colors.shape[-1] // cell
    means = torch.empty(*colors.shape[:3], height, width)
    _difference_kernel(
        to_array(scene),
        to_array(colors),
        to_array(known),
        np.float32(limit),
        cell,
        means.numpy(),
    )
    return means


def enlarge_tensor(images: Tensor, size: Sequence[int]) -> Tensor:
    """Enlarge images [..., h, w] to [..., H, W], bilinear, as `interpolate` does.

    Args:
        images: any values. [..., h, w]
        size: height and width of the result, px.
    """
    enlarged = torch.empty(*images.shape[:-2], *size)
    small = images.shape[-2:]
    rows, columns = (_place_samples(*sizes) for sizes in zip(size, small, strict=True))
    _enlarge_kernel(
        to_array(images).reshape(-1, *small), *rows, *columns, enlarged.numpy().reshape(-1, *size)
    )
    return enlarged


def _place_samples(
    size: int, small: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float32]]:
    """Samples before and behind each pixel along an axis, and the part of the latter. [size]"""
    place = (np.arange(size, dtype=np.float32) + HALF) * np.float32(small / size) - HALF
    place = np.maximum(place, ZERO)
    before = place.astype(np.int64)
    return before, np.minimum(before + 1, small - 1), (place - before).astype(np.float32)


@njit_cached
def _difference_kernel(scene, colors, known, limit, cell, means):
    """Fill ``means``, see `average_differences`."""
    width = colors.shape[4]
    line = np.empty(width, np.float32)
    share = ONE / np.float32(cell * cell)
    for b in range(means.shape[0]):
        for k in range(means.shape[1]):
            for c in range(means.shape[2]):
                for row in range(means.shape[3]):
                    line[:] = ZERO
                    for y in range(row * cell, (row + 1) * cell):
                        for x in range(width):
                            difference = scene[b, c, y, x] - colors[b, k, c, y, x]
                            difference = min(max(difference, -limit), limit)
                            line[x] += difference * known[b, 0, y, x]
                    for column in range(means.shape[4]):
                        total = ZERO
                        for x in range(column * cell, (column + 1) * cell):
                            total += line[x]
                        means[b, k, c, row, column] = share * total


@njit_cached
def _enlarge_kernel(images, above, below, down, before, behind, across, enlarged):
    """Fill ``enlarged``, see `enlarge_tensor`."""
    count, height, width = enlarged.shape
    line = np.empty(images.shape[2], np.float32)
    for n in range(count):
        for y in range(height):
            for x in range(images.shape[2]):
                upper = images[n, above[y], x]
                line[x] = upper + down[y] * (images[n, below[y], x] - upper)
            for x in range(width):
                left = line[before[x]]
                enlarged[n, y, x] = left + across[x] * (line[behind[x]] - left)
