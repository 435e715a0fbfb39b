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
FLOW_CELL_PX = 4
# Standard deviations of the neighbourhoods, in cells, from coarse to fine.
FLOW_WINDOW_SIGMAS_CELLS = (3.0, 3.0, 2.0, 2.0, 1.2, 1.2, 0.8, 0.8)
# What has less structure than this (squared change of grey per px) does not move by itself.
FLOW_REGULARIZATION = 5e-5
# A difference of grey larger than this is more likely another thing (teeth for a tongue) than a
# displacement.
OUTLIER_GRAY_DIFFERENCE = 0.08
MAX_FLOW_PX = 4.0  # px
ILLUMINATION_SIGMA_CELLS = 2.0  # cells; smoother differences are light, not places
NOISE_SIGMA_PX = 0.8  # px


def lucas_kanade_flow(observed: Tensor, predicted: Tensor, mask: Tensor) -> Tensor:
    """A smooth field d so that ``observed`` at x + d(x) resembles ``predicted`` at x.

    Iterated least squares on small neighbourhoods, outliers weighted down, light taken out.

    Args:
        observed: RGB in [0, 1]. [B, 3, S, S]
        predicted: the same. [B, 3, S, S]
        mask: where ``predicted`` counts. [B, 1, S, S]

    Returns:
        Horizontal and vertical part in px. [B, 2, S, S]

    Raises:
        ShapeError: the pictures differ in size, or their edge is no multiple of the cell.

    Source: Lucas and Kanade 1981; weights of Geman and McClure 1987.
    """
    if (
        observed.shape != predicted.shape
        or observed.shape[-1] % FLOW_CELL_PX
        or observed.shape[-2] % FLOW_CELL_PX
    ):
        raise ShapeError(
            f"pictures {tuple(observed.shape)} and {tuple(predicted.shape)}: expected the same "
            "size, "
            f"a multiple of {FLOW_CELL_PX}"
        )
    target, source = _bandpass_gray(observed), _bandpass_gray(predicted)
    slope_x, slope_y = _image_gradients(source)
    height, width = observed.shape[-2:]
    field = observed.new_zeros(len(observed), 2, height // FLOW_CELL_PX, width // FLOW_CELL_PX)
    for scale in FLOW_WINDOW_SIGMAS_CELLS:
        moved = warp_by_flow(target, _upsample_cells(field))
        seen_x, seen_y = _image_gradients(moved)
        gx, gy = (slope_x + seen_x) / 2, (slope_y + seen_y) / 2
        error = source - moved
        weight = mask / (1 + (error / OUTLIER_GRAY_DIFFERENCE) ** 2)
        wx, wy = weight * gx, weight * gy
        moments = torch.cat([wx * gx, wx * gy, wy * gy, wx * error, wy * error], 1)
        xx, xy, yy, xe, ye = blur_gaussian(F.avg_pool2d(moments, FLOW_CELL_PX), scale).split(1, 1)
        xx, yy = xx + FLOW_REGULARIZATION, yy + FLOW_REGULARIZATION
        determinant = xx * yy - xy * xy
        step = torch.cat([yy * xe - xy * ye, xx * ye - xy * xe], 1) / determinant
        field = blur_gaussian(field + step, scale / 2).clamp(-MAX_FLOW_PX, MAX_FLOW_PX)
    return _upsample_cells(field)


def warp_by_flow(image: Tensor, flow: Tensor) -> Tensor:
    """A picture [B, C, H, W] looked up at x + field(x), ``flow`` in px [B, 2, H, W]."""
    height, width = image.shape[-2:]
    x = (torch.arange(width, device=image.device) + 0.5 + flow[:, 0]) * (2 / width) - 1
    y = torch.arange(height, device=image.device)[:, None] + 0.5 + flow[:, 1]
    grid = torch.stack([x, y * (2 / height) - 1], -1)
    return F.grid_sample(image, grid, mode="bilinear", padding_mode="border", align_corners=False)


def blur_gaussian(image: Tensor, sigma: float) -> Tensor:
    """Gaussian blur of [B, C, H, W]; the edge is repeated."""
    reach = min(int(2.5 * sigma), *(n - 1 for n in image.shape[-2:]))
    at = torch.arange(-reach, reach + 1, device=image.device, dtype=image.dtype)
    kernel = torch.exp(-((at / sigma) ** 2) / 2)
    kernel = (kernel / kernel.sum()).expand(image.shape[1], 1, 1, -1)
    channels = image.shape[1]
    wide = F.pad(image, (reach, reach, 0, 0), mode="replicate")
    wide = F.conv2d(wide, kernel, groups=channels)
    tall = F.pad(wide, (0, 0, reach, reach), mode="replicate")
    return F.conv2d(tall, kernel.transpose(2, 3), groups=channels)


def _bandpass_gray(image: Tensor) -> Tensor:
    """Grey without noise and without light. [B, 1, H, W]"""
    grey = image.mean(1, keepdim=True)
    return blur_gaussian(grey, NOISE_SIGMA_PX) - _upsample_cells(
        blur_gaussian(F.avg_pool2d(grey, FLOW_CELL_PX), ILLUMINATION_SIGMA_CELLS)
    )


def _image_gradients(gray: Tensor) -> tuple[Tensor, Tensor]:
    """Change per px to the right and down."""
    x = F.pad((gray[..., 2:] - gray[..., :-2]) / 2, (1, 1, 0, 0))
    y = F.pad((gray[..., 2:, :] - gray[..., :-2, :]) / 2, (0, 0, 1, 1))
    return x, y


def _upsample_cells(cells: Tensor) -> Tensor:
    return F.interpolate(cells, scale_factor=FLOW_CELL_PX, mode="bilinear", align_corners=False)
