"""Optical flow between two images of a mouth: how far a predicted one is off an observed one.

Landmarks of a detector are off by a few tenths of a pixel, differently in every frame. The pixels
of two images of the same mouth tell the offset more exactly.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from dubfew.errors import ShapeError
from dubfew.reconstruction.flow_kernels import bandpass_gray, estimate_flow

# The flow has one vector per cell of this size. Lips are some 15 cells wide, so that the flow bends
# where they do; smaller cells would follow single pixels.
FLOW_CELL_PX = 4
# Standard deviations of the neighborhoods that share one vector, in cells, one per iteration, from
# coarse to fine.
FLOW_WINDOW_SIGMAS_CELLS = (3.0, 3.0, 2.0, 2.0, 1.2, 1.2, 0.8, 0.8)
# Added to the squared gradient of gray (per px): areas with less structure keep the flow of their
# neighbors.
FLOW_REGULARIZATION = 5e-5
# Differences of gray above this are down-weighted: they are more likely another object (a tongue
# instead of teeth) than an offset.
OUTLIER_GRAY_DIFFERENCE = 0.08
# Largest offset, px. Larger ones are mistakes: landmarks are better than that.
MAX_FLOW_PX = 4.0
# Differences that are smoother than this, in cells, are light and not offsets.
ILLUMINATION_SIGMA_CELLS = 2.0
# Blur against camera noise, px.
NOISE_SIGMA_PX = 0.8
# A Gaussian kernel ends at this many standard deviations.
KERNEL_REACH_SIGMAS = 2.5


def lucas_kanade_flow(observed: Tensor, predicted: Tensor, mask: Tensor) -> Tensor:
    """Estimate a smooth flow d such that ``observed`` at x + d(x) equals ``predicted`` at x.

    Iterated least squares on small neighborhoods; outliers are down-weighted, differences of light
    are removed first.

    Args:
        observed: RGB in [0, 1]. [B, 3, H, W]
        predicted: RGB in [0, 1]. [B, 3, H, W]
        mask: weight of each pixel of ``predicted``, 0 to 1. [B, 1, H, W]

    Returns:
        Horizontal and vertical offset, px. [B, 2, H, W]

    Raises:
        ShapeError: The images differ in size, or an edge is not a multiple of the cell's edge.

    Source: Lucas and Kanade 1981, "An Iterative Image Registration Technique with an Application to
    Stereo Vision" (IJCAI); weights of Geman and McClure 1987, "Statistical Methods for Tomographic
    Image Reconstruction".
    """
    if (
        observed.shape != predicted.shape
        or observed.shape[-1] % FLOW_CELL_PX
        or observed.shape[-2] % FLOW_CELL_PX
    ):
        raise ShapeError(
            f"images {tuple(observed.shape)} and {tuple(predicted.shape)}: expected the same size, "
            f"a multiple of {FLOW_CELL_PX}"
        )
    if observed.device.type == "cpu" and not torch.is_grad_enabled():
        return _upsample_cells(_estimate_with_kernels(observed, predicted, mask))
    return _upsample_cells(_estimate_with_torch(observed, predicted, mask))


def _estimate_with_kernels(observed: Tensor, predicted: Tensor, mask: Tensor) -> Tensor:
    """Estimate the flow of the cells by compiled loops. [B, 2, H / 4, W / 4]"""
    size = min(observed.shape[-2:])
    cells = size // FLOW_CELL_PX
    noise, light = (
        _half_kernel(NOISE_SIGMA_PX, size),
        _half_kernel(ILLUMINATION_SIGMA_CELLS, cells),
    )
    kernels = [
        (_half_kernel(sigma, cells), _half_kernel(sigma / 2, cells))
        for sigma in FLOW_WINDOW_SIGMAS_CELLS
    ]
    flows: list[NDArray[np.float32]] = []
    for target, source, weight in zip(observed, predicted, mask, strict=True):
        arrays = [np.ascontiguousarray(rgb.numpy(), np.float32) for rgb in (target, source)]
        bands = [bandpass_gray(rgb, noise, light, FLOW_CELL_PX) for rgb in arrays]
        flow = estimate_flow(
            bands[0],
            bands[1],
            np.ascontiguousarray(weight[0].numpy(), np.float32),
            kernels,
            cell_px=FLOW_CELL_PX,
            regularization=FLOW_REGULARIZATION,
            outlier_difference=OUTLIER_GRAY_DIFFERENCE,
            max_flow_px=MAX_FLOW_PX,
        )
        flows.append(flow)
    return torch.from_numpy(np.stack(flows)).to(observed)


def _estimate_with_torch(observed: Tensor, predicted: Tensor, mask: Tensor) -> Tensor:
    """Estimate the flow of the cells on any device, with gradients. [B, 2, H / 4, W / 4]"""
    target, source = _bandpass_gray(observed), _bandpass_gray(predicted)
    source_x, source_y = _image_gradients(source)
    height, width = target.shape[-2:]
    flow = target.new_zeros(len(target), 2, height // FLOW_CELL_PX, width // FLOW_CELL_PX)
    for sigma in FLOW_WINDOW_SIGMAS_CELLS:
        # Move the observed image by the flow so far; its gradients and those of the prediction are
        # averaged, which is exact to second order.
        moved = warp_by_flow(target, _upsample_cells(flow))
        moved_x, moved_y = _image_gradients(moved)
        gx, gy = (source_x + moved_x) / 2, (source_y + moved_y) / 2
        error = source - moved
        weight = mask / (1 + (error / OUTLIER_GRAY_DIFFERENCE) ** 2)
        wx, wy = weight * gx, weight * gy
        moments = torch.cat([wx * gx, wx * gy, wy * gy, wx * error, wy * error], 1)
        # Sum the normal equations over each cell's neighborhood and solve the 2 x 2 systems.
        xx, xy, yy, xe, ye = blur_gaussian(F.avg_pool2d(moments, FLOW_CELL_PX), sigma).split(1, 1)
        xx, yy = xx + FLOW_REGULARIZATION, yy + FLOW_REGULARIZATION
        determinant = xx * yy - xy * xy
        step = torch.cat([yy * xe - xy * ye, xx * ye - xy * xe], 1) / determinant
        flow = blur_gaussian(flow + step, sigma / 2).clamp(-MAX_FLOW_PX, MAX_FLOW_PX)
    return flow


def warp_by_flow(image: Tensor, flow: Tensor) -> Tensor:
    """Sample an image at x + flow(x), bilinearly; the border is repeated.

    Args:
        image: the image. [B, C, H, W]
        flow: horizontal and vertical offset, px. [B, 2, H, W]

    Returns:
        The moved image. [B, C, H, W]
    """
    height, width = image.shape[-2:]
    x = (torch.arange(width, device=image.device) + 0.5 + flow[:, 0]) * (2 / width) - 1
    y = torch.arange(height, device=image.device)[:, None] + 0.5 + flow[:, 1]
    grid = torch.stack([x, y * (2 / height) - 1], -1)
    return F.grid_sample(image, grid, mode="bilinear", padding_mode="border", align_corners=False)


def blur_gaussian(image: Tensor, sigma: float) -> Tensor:
    """Blur an image by a Gaussian; the border is repeated.

    Args:
        image: the image. [B, C, H, W]
        sigma: standard deviation, px. The kernel ends at 2.5 of them.

    Returns:
        The blurred image. [B, C, H, W]
    """
    channels, reach = image.shape[1], _reach(sigma, min(image.shape[-2:]))
    kernel = _gaussian_kernel(sigma, min(image.shape[-2:])).to(image).expand(channels, 1, 1, -1)
    # A Gaussian is separable: blur rows, then columns.
    wide = F.pad(image, (reach, reach, 0, 0), mode="replicate")
    wide = F.conv2d(wide, kernel, groups=channels)
    tall = F.pad(wide, (0, 0, reach, reach), mode="replicate")
    return F.conv2d(tall, kernel.transpose(2, 3), groups=channels)


def _reach(sigma: float, size: int) -> int:
    """Return how far a kernel reaches: not farther than the border that can be repeated, px."""
    return min(int(KERNEL_REACH_SIGMAS * sigma), size - 1)


def _gaussian_kernel(sigma: float, size: int) -> Tensor:
    """Make the kernel of a blur of images whose shorter side is ``size`` px. [2 reach + 1]"""
    reach = _reach(sigma, size)
    offsets = torch.arange(-reach, reach + 1, dtype=torch.float32)
    kernel = torch.exp(-((offsets / sigma) ** 2) / 2)
    return kernel / kernel.sum()


def _half_kernel(sigma: float, size: int) -> NDArray[np.float32]:
    """Make the second half of a kernel, with its middle. [reach + 1]"""
    return _gaussian_kernel(sigma, size)[_reach(sigma, size) :].numpy()


def _bandpass_gray(image: Tensor) -> Tensor:
    """Convert to gray and remove noise and light, the highest and lowest frequencies.

    Returns:
        Gray around 0. [B, 1, H, W]
    """
    gray = image.mean(1, keepdim=True)
    light = blur_gaussian(F.avg_pool2d(gray, FLOW_CELL_PX), ILLUMINATION_SIGMA_CELLS)
    return blur_gaussian(gray, NOISE_SIGMA_PX) - _upsample_cells(light)


def _image_gradients(gray: Tensor) -> tuple[Tensor, Tensor]:
    """Compute central differences to the right and down, per px; 0 at the border."""
    x = F.pad((gray[..., 2:] - gray[..., :-2]) / 2, (1, 1, 0, 0))
    y = F.pad((gray[..., 2:, :] - gray[..., :-2, :]) / 2, (0, 0, 1, 1))
    return x, y


def _upsample_cells(cells: Tensor) -> Tensor:
    """Interpolate values per cell to values per pixel."""
    return F.interpolate(cells, scale_factor=FLOW_CELL_PX, mode="bilinear", align_corners=False)
