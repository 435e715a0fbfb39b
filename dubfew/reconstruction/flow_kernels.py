"""Compiled loops of the optical flow: `dubfew.reconstruction.optical_flow` says what is computed.

The same arithmetic as there, to rounding, image by image and without arrays between the steps.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from dubfew.utils.jit import njit_cached_fast

# Numbers in single precision: with Python's own, numba would compute in double precision.
ZERO, HALF, ONE = (np.float32(value) for value in (0, 0.5, 1))


def bandpass_gray(
    rgb: NDArray[np.float32],  # [3, H, W]
    noise_kernel: NDArray[np.float32],
    light_kernel: NDArray[np.float32],
    cell_px: int,
) -> NDArray[np.float32]:  # [H, W]
    """Convert an image to gray and remove noise and light, the highest and lowest frequencies.

    Args:
        rgb: the image. [3, H, W]
        noise_kernel: blur against noise: half of a symmetric kernel, its middle first.
        light_kernel: blur of the cells, whose result is light.
        cell_px: edge of a cell, which divides H and W.

    Returns:
        Gray around 0. [H, W]
    """
    gray = (rgb[0] + rgb[1] + rgb[2]) / np.float32(3)
    height, width = gray.shape
    cells = gray.reshape(height // cell_px, cell_px, width // cell_px, cell_px).mean((1, 3))
    _blur_kernel(cells, light_kernel, np.empty_like(cells))
    _blur_kernel(gray, noise_kernel, np.empty_like(gray))
    _subtract_light_kernel(gray, cells, cell_px)
    return gray


@njit_cached_fast
def _subtract_light_kernel(gray, cells, cell_px):
    """Subtract values per cell, interpolated between the cells' centers, from ``gray``."""
    rows, columns = cells.shape
    line = np.empty(columns, np.float32)
    step = ONE / np.float32(cell_px)
    for y in range(gray.shape[0]):
        place = max((np.float32(y) + HALF) * step - HALF, ZERO)
        top = int(place)
        below = min(top + 1, rows - 1)
        part = place - np.float32(top)
        for column in range(columns):
            line[column] = cells[top, column] + part * (cells[below, column] - cells[top, column])
        for x in range(gray.shape[1]):
            place = max((np.float32(x) + HALF) * step - HALF, ZERO)
            left = int(place)
            right = min(left + 1, columns - 1)
            part = place - np.float32(left)
            gray[y, x] -= line[left] + part * (line[right] - line[left])


def estimate_flow(
    target: NDArray[np.float32],  # [H, W]
    source: NDArray[np.float32],  # [H, W]
    mask: NDArray[np.float32],  # [H, W]
    kernels: Sequence[tuple[NDArray[np.float32], NDArray[np.float32]]],
    *,
    cell_px: int,
    regularization: float,
    outlier_difference: float,
    max_flow_px: float,
) -> NDArray[np.float32]:  # [2, H / cell_px, W / cell_px]
    """Estimate the flow of one pair of images, see `lucas_kanade_flow`.

    Args:
        target: observed image without noise and light. [H, W]
        source: predicted image without noise and light. [H, W]
        mask: weight of each pixel of ``source``. [H, W]
        kernels: for each iteration the blurs of the sums and of the flow: half of a symmetric
            kernel, its middle first.
        cell_px: edge of a cell, which divides H and W.
        regularization: added to the squared gradients.
        outlier_difference: difference at which a pixel counts half.
        max_flow_px: largest offset, px.

    Returns:
        Horizontal and vertical offset of every cell, px. [2, H / cell_px, W / cell_px]
    """
    height, width = target.shape
    small = (height // cell_px, width // cell_px)
    flow, sums = np.zeros((2, *small), np.float32), np.empty((5, *small), np.float32)
    moved, spare = np.empty_like(target), np.empty(small, np.float32)
    numbers = (np.float32(outlier_difference), np.float32(regularization), np.float32(max_flow_px))
    for sums_kernel, flow_kernel in kernels:
        _move_kernel(target, flow, cell_px, moved)
        _sum_kernel(source, moved, mask, cell_px, numbers[0], sums)
        for channel in sums:
            _blur_kernel(channel, sums_kernel, spare)
        _solve_kernel(sums, numbers[1], flow)
        for channel in flow:
            _blur_kernel(channel, flow_kernel, spare)
        np.clip(flow, -numbers[2], numbers[2], out=flow)
    return flow


@njit_cached_fast
def _move_kernel(image, flow, cell_px, moved):
    """Fill ``moved`` with the image at x + flow(x), bilinearly; flow and border continue."""
    height, width = image.shape
    rows, columns = flow.shape[1], flow.shape[2]
    line = np.empty((2, columns), np.float32)
    step = ONE / np.float32(cell_px)
    for y in range(height):
        place = max((np.float32(y) + HALF) * step - HALF, ZERO)
        top = int(place)
        below = min(top + 1, rows - 1)
        part = place - np.float32(top)
        for column in range(columns):
            for axis in range(2):
                upper = flow[axis, top, column]
                line[axis, column] = upper + part * (flow[axis, below, column] - upper)
        for x in range(width):
            place = max((np.float32(x) + HALF) * step - HALF, ZERO)
            left = int(place)
            right = min(left + 1, columns - 1)
            part = place - np.float32(left)
            dx = line[0, left] + part * (line[0, right] - line[0, left])
            dy = line[1, left] + part * (line[1, right] - line[1, left])
            px = min(max(np.float32(x) + dx, ZERO), np.float32(width - 1))
            py = min(max(np.float32(y) + dy, ZERO), np.float32(height - 1))
            x0, y0 = int(px), int(py)
            x1, y1 = min(x0 + 1, width - 1), min(y0 + 1, height - 1)
            fx, fy = px - np.float32(x0), py - np.float32(y0)
            upper = image[y0, x0] + fx * (image[y0, x1] - image[y0, x0])
            lower = image[y1, x0] + fx * (image[y1, x1] - image[y1, x0])
            moved[y, x] = upper + fy * (lower - upper)


@njit_cached_fast
def _sum_kernel(source, moved, mask, cell_px, outlier_difference, sums):
    """Fill ``sums`` with the means of the normal equations over the cells."""
    height, width = source.shape
    sums[:] = ZERO
    quarter = np.float32(0.25)
    for y in range(height):
        is_inner_row = 0 < y < height - 1
        row = y // cell_px
        for x in range(width):
            # The mean of both images' central differences; 0 at the border.
            gx = gy = ZERO
            if 0 < x < width - 1:
                gx = source[y, x + 1] - source[y, x - 1] + moved[y, x + 1] - moved[y, x - 1]
            if is_inner_row:
                gy = source[y + 1, x] - source[y - 1, x] + moved[y + 1, x] - moved[y - 1, x]
            gx, gy = gx * quarter, gy * quarter
            error = source[y, x] - moved[y, x]
            ratio = error / outlier_difference
            weight = mask[y, x] / (ONE + ratio * ratio)
            wx, wy = weight * gx, weight * gy
            column = x // cell_px
            sums[0, row, column] += wx * gx
            sums[1, row, column] += wx * gy
            sums[2, row, column] += wy * gy
            sums[3, row, column] += wx * error
            sums[4, row, column] += wy * error
    area = np.float32(cell_px * cell_px)
    for channel in range(5):
        for row in range(sums.shape[1]):
            for column in range(sums.shape[2]):
                sums[channel, row, column] /= area


@njit_cached_fast
def _solve_kernel(sums, regularization, flow):
    """Add the solution of each cell's 2 x 2 system to ``flow``."""
    for row in range(flow.shape[1]):
        for column in range(flow.shape[2]):
            xx = sums[0, row, column] + regularization
            xy = sums[1, row, column]
            yy = sums[2, row, column] + regularization
            xe, ye = sums[3, row, column], sums[4, row, column]
            determinant = xx * yy - xy * xy
            flow[0, row, column] += (yy * xe - xy * ye) / determinant
            flow[1, row, column] += (xx * ye - xy * xe) / determinant


@njit_cached_fast
def _blur_kernel(image, kernel, spare):
    """Blur ``image`` in place along rows, then columns; the border is repeated.

    ``spare`` has the size of the image.
    """
    height, width = image.shape
    reach = len(kernel) - 1
    for row in range(height):
        for column in range(width):
            total = kernel[0] * image[row, column]
            for k in range(1, reach + 1):
                before, behind = max(column - k, 0), min(column + k, width - 1)
                total += kernel[k] * (image[row, before] + image[row, behind])
            spare[row, column] = total
    for row in range(height):
        for column in range(width):
            image[row, column] = kernel[0] * spare[row, column]
        for k in range(1, reach + 1):
            above, below = max(row - k, 0), min(row + k, height - 1)
            for column in range(width):
                image[row, column] += kernel[k] * (spare[above, column] + spare[below, column])
