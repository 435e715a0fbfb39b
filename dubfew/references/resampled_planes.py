"""Planes of images in other sizes and widened, by compiled loops where these are fast."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from dubfew.references.warp_kernels import enlarge_tensor, shrink_tensor


def shrink(values: Tensor, cell: int, fast: bool) -> Tensor:
    """Average images over cells.

    Args:
        values: any images. [..., H, W]
        cell: edge of a cell, px; the last ones may be smaller.
        fast: whether compiled loops may do so, see `fits_kernels`.

    Returns:
        [..., H / cell, W / cell], rounded up
    """
    if fast:
        return shrink_tensor(values, cell)
    flat = values.reshape(-1, 1, *values.shape[-2:])
    small = F.avg_pool2d(flat, cell, ceil_mode=True)
    return small.view(*values.shape[:-2], *small.shape[-2:])


def enlarge(values: Tensor, size: Sequence[int], fast: bool) -> Tensor:
    """Enlarge images [N, C, s, s] to a size, bilinear; with compiled loops where they are fast."""
    if fast:
        return enlarge_tensor(values, size)
    return F.interpolate(values, size=size, mode="bilinear", align_corners=False)


def dilate(values: Tensor, reach: int) -> Tensor:
    """Take the largest value in a square around each pixel, within the image.

    Windows double in width until they have the square's, down and then across, so that the cost
    grows with the logarithm of the reach.

    Args:
        values: any images. [..., H, W]
        reach: pixels on each side.

    Returns:
        Images of the same shape. [..., H, W]
    """
    edge = 2 * reach + 1
    widest = F.pad(values, (reach, reach, reach, reach), value=-torch.inf)
    for axis in (-2, -1):
        width = 1
        while width < edge:
            step = min(width, edge - width)
            length = widest.shape[axis] - step
            widest = torch.maximum(
                widest.narrow(axis, 0, length), widest.narrow(axis, step, length)
            )
            width += step
    return widest
