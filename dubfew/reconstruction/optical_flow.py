"""Where a predicted picture of the mouth has to move to lie on the seen one.

Landmarks of a detector are off by a few tenths of a pixel, differently in every frame. Pictures
of the same mouth tell more exactly how one lies on the other.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from dubfew.errors import ShapeError

# The field has one vector per cell: lips are some 15 cells wide, so it bends where they do but
# cannot follow single pixels.
CELL = 4
# Standard deviations of the neighbourhoods, in cells, from coarse to fine.
NEIGHBOURHOODS = (3.0, 3.0, 2.0, 2.0, 1.2, 1.2, 0.8, 0.8)
# What has less structure than this (squared change of grey per px) does not move by itself.
FLATNESS = 5e-5
# A difference of grey larger than this is more likely another thing (teeth for a tongue) than a
# displacement.
OUTLIER = 0.08
LIMIT = 4.0  # px
LIGHT_SCALE = 2.0  # cells; smoother differences are light, not places
NOISE_SCALE = 0.8  # px


def displacement(seen: Tensor, predicted: Tensor, mask: Tensor) -> Tensor:
    """A smooth field d so that ``seen`` at x + d(x) resembles ``predicted`` at x.

    Iterated least squares on small neighbourhoods, outliers weighted down, light taken out.

    Args:
        seen: RGB in [0, 1]. [B, 3, S, S]
        predicted: the same. [B, 3, S, S]
        mask: where ``predicted`` counts. [B, 1, S, S]

    Returns:
        Horizontal and vertical part in px. [B, 2, S, S]

    Raises:
        ShapeError: the pictures differ in size, or their edge is no multiple of the cell.

    Source: Lucas and Kanade 1981; weights of Geman and McClure 1987.
    """
    if seen.shape != predicted.shape or seen.shape[-1] % CELL or seen.shape[-2] % CELL:
        raise ShapeError(
            f"pictures {tuple(seen.shape)} and {tuple(predicted.shape)}: expected the same size, "
            f"a multiple of {CELL}"
        )
    target, source = _structure(seen), _structure(predicted)
    slope_x, slope_y = _slopes(source)
    height, width = seen.shape[-2:]
    field = seen.new_zeros(len(seen), 2, height // CELL, width // CELL)
    for scale in NEIGHBOURHOODS:
        moved = shifted(target, _grown(field))
        seen_x, seen_y = _slopes(moved)
        gx, gy = (slope_x + seen_x) / 2, (slope_y + seen_y) / 2
        error = source - moved
        weight = mask / (1 + (error / OUTLIER) ** 2)
        wx, wy = weight * gx, weight * gy
        moments = torch.cat([wx * gx, wx * gy, wy * gy, wx * error, wy * error], 1)
        xx, xy, yy, xe, ye = blurred(F.avg_pool2d(moments, CELL), scale).split(1, 1)
        xx, yy = xx + FLATNESS, yy + FLATNESS
        determinant = xx * yy - xy * xy
        step = torch.cat([yy * xe - xy * ye, xx * ye - xy * xe], 1) / determinant
        field = blurred(field + step, scale / 2).clamp(-LIMIT, LIMIT)
    return _grown(field)


def shifted(picture: Tensor, field: Tensor) -> Tensor:
    """A picture [B, C, H, W] looked up at x + field(x), ``field`` in px [B, 2, H, W]."""
    height, width = picture.shape[-2:]
    x = (torch.arange(width, device=picture.device) + 0.5 + field[:, 0]) * (2 / width) - 1
    y = torch.arange(height, device=picture.device)[:, None] + 0.5 + field[:, 1]
    grid = torch.stack([x, y * (2 / height) - 1], -1)
    return F.grid_sample(picture, grid, mode="bilinear", padding_mode="border", align_corners=False)


def blurred(picture: Tensor, scale: float) -> Tensor:
    """Gaussian blur of [B, C, H, W]; the edge is repeated."""
    reach = min(int(2.5 * scale), *(n - 1 for n in picture.shape[-2:]))
    at = torch.arange(-reach, reach + 1, device=picture.device, dtype=picture.dtype)
    kernel = torch.exp(-((at / scale) ** 2) / 2)
    kernel = (kernel / kernel.sum()).expand(picture.shape[1], 1, 1, -1)
    channels = picture.shape[1]
    wide = F.pad(picture, (reach, reach, 0, 0), mode="replicate")
    wide = F.conv2d(wide, kernel, groups=channels)
    tall = F.pad(wide, (0, 0, reach, reach), mode="replicate")
    return F.conv2d(tall, kernel.transpose(2, 3), groups=channels)


def _structure(picture: Tensor) -> Tensor:
    """Grey without noise and without light. [B, 1, H, W]"""
    grey = picture.mean(1, keepdim=True)
    return blurred(grey, NOISE_SCALE) - _grown(blurred(F.avg_pool2d(grey, CELL), LIGHT_SCALE))


def _slopes(grey: Tensor) -> tuple[Tensor, Tensor]:
    """Change per px to the right and down."""
    x = F.pad((grey[..., 2:] - grey[..., :-2]) / 2, (1, 1, 0, 0))
    y = F.pad((grey[..., 2:, :] - grey[..., :-2, :]) / 2, (0, 0, 1, 1))
    return x, y


def _grown(field: Tensor) -> Tensor:
    return F.interpolate(field, scale_factor=CELL, mode="bilinear", align_corners=False)
