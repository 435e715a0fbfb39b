"""Loops over the pixels of two pictures, compiled: each of them is run for every frame."""

from __future__ import annotations

import numpy as np

from dubfew.utils.jit import njit_cached, njit_cached_fast


@njit_cached
def sum_similarities(first, second, window, luminance_constant, contrast_constant):
    """Sum SSIM over all channels and all windows that lie wholly inside.

    Sums of squares and products of 8-bit levels are exact in whole numbers, and slide along with
    the window.

    Args:
        first: [H, W, 3] uint8
        second: [H, W, 3] uint8
        window: edge of the square window, px.
        luminance_constant: first constant of SSIM, for levels of 0 to 255.
        contrast_constant: second constant of SSIM.
    """
    height, width, channels = first.shape
    count = window * window
    unbiased = count / (count - 1.0)
    total = 0.0
    for channel in range(channels):
        # Sums over the window's rows, of each column.
        columns = np.zeros((5, width), np.int32)
        for row in range(height):
            for x in range(width):
                a, b = np.int32(first[row, x, channel]), np.int32(second[row, x, channel])
                columns[0, x] += a
                columns[1, x] += b
                columns[2, x] += a * a
                columns[3, x] += b * b
                columns[4, x] += a * b
            if row >= window:
                for x in range(width):
                    a = np.int32(first[row - window, x, channel])
                    b = np.int32(second[row - window, x, channel])
                    columns[0, x] -= a
                    columns[1, x] -= b
                    columns[2, x] -= a * a
                    columns[3, x] -= b * b
                    columns[4, x] -= a * b
            if row < window - 1:
                continue
            s0, s1, s2, s3, s4 = 0, 0, 0, 0, 0
            for x in range(width):
                s0 += columns[0, x]
                s1 += columns[1, x]
                s2 += columns[2, x]
                s3 += columns[3, x]
                s4 += columns[4, x]
                if x >= window:
                    s0 -= columns[0, x - window]
                    s1 -= columns[1, x - window]
                    s2 -= columns[2, x - window]
                    s3 -= columns[3, x - window]
                    s4 -= columns[4, x - window]
                if x < window - 1:
                    continue
                mean, other = s0 / count, s1 / count
                variances = unbiased * ((s2 + s3) / count - mean * mean - other * other)
                covariance = unbiased * (s4 / count - mean * other)
                total += (
                    (2 * mean * other + luminance_constant)
                    * (2 * covariance + contrast_constant)
                    / (
                        (mean * mean + other * other + luminance_constant)
                        * (variances + contrast_constant)
                    )
                )
    return total


@njit_cached_fast
def sum_scale_terms(first, second, taps, luminance_constant, contrast_constant):
    """Sum the terms of one scale of MS-SSIM where the window lies wholly inside.

    Args:
        first: luma. [H, W] float32
        second: luma of the other picture. [H, W] float32
        taps: separable window. [T] float32
        luminance_constant: first constant of SSIM.
        contrast_constant: second constant of SSIM.

    Returns:
        Sums of the contrast and structure term, and of its product with the luminance term.
    """
    height, width = first.shape
    size = len(taps)
    contrast_sum, product_sum = 0.0, 0.0
    lines = np.empty((5, width), np.float32)
    for row in range(height - size + 1):
        lines[:] = 0
        for k in range(size):
            tap = taps[k]
            for x in range(width):
                a, b = first[row + k, x], second[row + k, x]
                lines[0, x] += tap * a
                lines[1, x] += tap * b
                lines[2, x] += tap * a * a
                lines[3, x] += tap * b * b
                lines[4, x] += tap * a * b
        for x in range(width - size + 1):
            mean, other, square, other_square, product = (
                np.float32(0),
                np.float32(0),
                np.float32(0),
                np.float32(0),
                np.float32(0),
            )
            for k in range(size):
                tap = taps[k]
                mean += tap * lines[0, x + k]
                other += tap * lines[1, x + k]
                square += tap * lines[2, x + k]
                other_square += tap * lines[3, x + k]
                product += tap * lines[4, x + k]
            contrast = (2 * (product - mean * other) + contrast_constant) / (
                square - mean * mean + other_square - other * other + contrast_constant
            )
            luminance = (2 * mean * other + luminance_constant) / (
                mean * mean + other * other + luminance_constant
            )
            contrast_sum += contrast
            product_sum += contrast * luminance
    return contrast_sum, product_sum


@njit_cached
def find_largest_difference(first, second, ignored):
    """Find the largest difference of two pictures [H, W, 3] where ``ignored`` [H, W] is False."""
    largest = np.int32(0)
    for row in range(first.shape[0]):
        for x in range(first.shape[1]):
            if ignored[row, x]:
                continue
            for channel in range(first.shape[2]):
                # Whole numbers without a sign would wrap around.
                step = np.int32(first[row, x, channel]) - np.int32(second[row, x, channel])
                largest = max(largest, abs(step))
    return largest


@njit_cached_fast
def bound_tile_differences(luma, other_luma, blue, other_blue, red, other_red, weights, tile):
    """Bound how much the RGB levels of two pictures differ, tile by tile.

    Args:
        luma: plane of the first picture. [H, W] uint8
        other_luma: that of the second. [H, W] uint8
        blue: chroma plane (U), subsampled. [h, w] uint8
        other_blue: that of the second. [h, w] uint8
        red: chroma plane (V). [h, w] uint8
        other_red: that of the second. [h, w] uint8
        weights: change of R, G and B for a step of Y, U and V. [3, 3] float32
        tile: edge of a tile, px.

    Returns:
        Largest difference of any level, before it is rounded and clipped. [rows, columns]
    """
    height, width = luma.shape
    step_y, step_x = height // blue.shape[0], width // blue.shape[1]
    bounds = np.zeros(((height + tile - 1) // tile, (width + tile - 1) // tile), np.float32)
    columns = blue.shape[1]
    # One value for each column of chroma samples; loops along a row become vector instructions.
    low, high = np.empty(columns, np.float32), np.empty(columns, np.float32)
    largest = np.zeros(columns, np.float32)
    for y in range(blue.shape[0]):
        low[:], high[:] = 255, -255
        for i in range(y * step_y, (y + 1) * step_y):
            for j in range(step_x):
                for x in range(columns):
                    here = x * step_x + j
                    step = np.float32(luma[i, here]) - np.float32(other_luma[i, here])
                    low[x], high[x] = min(low[x], step), max(high[x], step)
        for channel in range(3):
            k0, k1, k2 = weights[0, channel], weights[1, channel], weights[2, channel]
            for x in range(columns):
                u = np.float32(blue[y, x]) - np.float32(other_blue[y, x])
                v = np.float32(red[y, x]) - np.float32(other_red[y, x])
                chroma = k1 * u + k2 * v
                most = max(abs(k0 * low[x] + chroma), abs(k0 * high[x] + chroma))
                largest[x] = max(largest[x], most)
        if ((y + 1) * step_y) % tile == 0 or y == blue.shape[0] - 1:
            row = y * step_y // tile
            for x in range(columns):
                column = x * step_x // tile
                bounds[row, column] = max(bounds[row, column], largest[x])
            largest[:] = 0
    return bounds
