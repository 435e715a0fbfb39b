"""Compiled loops of the light match and of the search for things before a face.

The same arithmetic as the functions of torch and SciPy that the docstrings name, to rounding, in
one pass each and without threads: windows are so small that calls and copies cost most of the time.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from dubfew.utils.jit import njit_cached, njit_cached_fast

# Single precision: with Python's own numbers, numba would compute in double precision.
ZERO, HALF, ONE = np.float32(0), np.float32(0.5), np.float32(1)
# Entries of a table of powers between 0 and this level, from which one is interpolated: right to
# half a thousandth at the darkest level and the steepest power.
POWER_ENTRIES, POWER_TOP = 4096, 2.0


def to_array(tensor: Tensor) -> NDArray[np.float32]:
    """View a tensor as an array; one of a GPU is copied."""
    return np.ascontiguousarray(tensor.cpu().numpy(), np.float32)


def shrink_images(images: NDArray[np.float32], factor: int) -> NDArray[np.float32]:
    """Average images over squares of pixels, as `torch.nn.functional.avg_pool2d` does.

    Args:
        images: any values, channels last. [N, H, W, C]
        factor: edge of the squares, px. What is left over at the right and below is left out.

    Returns:
        Means. [N, H // factor, W // factor, C]
    """
    count, height, width, channels = images.shape
    shrunk = np.empty((count, height // factor, width // factor, channels), np.float32)
    _shrink_kernel(np.ascontiguousarray(images), factor, shrunk)
    return shrunk


def shrink_planes(images: NDArray[np.float32], factor: int) -> NDArray[np.float32]:
    """Average images [N, C, H, W] over squares of pixels, see `shrink_images`."""
    count, channels, height, width = images.shape
    shrunk = shrink_images(images.reshape(-1, height, width, 1), factor)
    return shrunk.reshape(count, channels, *shrunk.shape[1:3])


@njit_cached_fast
def _shrink_kernel(images, factor, shrunk):
    """Fill ``shrunk``, see `shrink_images`: rows are summed first, which compilers make vectors of.

    Halving single values and positions, most of the work, has loops of its own.
    """
    count, height, width, channels = shrunk.shape
    share = ONE / np.float32(factor * factor)
    length = width * factor * channels
    sums = np.empty(length, np.float32)
    for n in range(count):
        for row in range(height):
            means = shrunk[n, row].reshape(-1)
            upper = images[n, row * factor].reshape(-1)
            if factor == 2 and channels == 1:
                lower = images[n, 2 * row + 1].reshape(-1)
                for c in range(width):
                    left, right = upper[2 * c] + lower[2 * c], upper[2 * c + 1] + lower[2 * c + 1]
                    means[c] = share * (left + right)
            elif factor == 2 and channels == 2:
                lower = images[n, 2 * row + 1].reshape(-1)
                for c in range(width):
                    for channel in range(2):
                        left = upper[4 * c + channel] + lower[4 * c + channel]
                        right = upper[4 * c + 2 + channel] + lower[4 * c + 2 + channel]
                        means[2 * c + channel] = share * (left + right)
            else:
                for x in range(length):
                    sums[x] = upper[x]
                for y in range(row * factor + 1, (row + 1) * factor):
                    line = images[n, y].reshape(-1)
                    for x in range(length):
                        sums[x] += line[x]
                for c in range(width):
                    for channel in range(channels):
                        total = ZERO
                        for x in range(factor):
                            total += sums[(c * factor + x) * channels + channel]
                        means[c * channels + channel] = share * total


def sample_planes(
    images: NDArray[np.float32],  # [K, C, R, R]
    grids: NDArray[np.float32],  # [K, h, w, 2]
) -> NDArray[np.float32]:  # [K, C, h, w]
    """Sample images at positions in [-1, 1], as `torch.nn.functional.grid_sample` does.

    Bilinear; outside, the border is repeated.

    Args:
        images: any values. [K, C, R, R]
        grids: x and y for each image. [K, h, w, 2]
    """
    sampled = np.empty((*images.shape[:2], *grids.shape[1:3]), np.float32)
    _sample_kernel(images, grids, sampled)
    return sampled


@njit_cached_fast
def _sample_kernel(images, grids, sampled):
    """Fill ``sampled``, see `sample_planes`: the places of a row once, then channel by channel."""
    count, channels, height, width = images.shape
    columns = grids.shape[2]
    right, low = np.float32(width - 1), np.float32(height - 1)
    # The last pixel that has another behind it, whose weight may be 1.
    last_x, last_y = np.int32(max(width - 2, 0)), np.int32(max(height - 2, 0))
    places = np.empty(columns, np.uint32)
    across, down = np.empty(columns, np.float32), np.empty(columns, np.float32)
    # Unsigned: numba would look at each index for a negative one.
    beside, below = np.uint64(min(width - 1, 1)), np.uint64(width * min(height - 1, 1))
    for k in range(count):
        for row in range(grids.shape[1]):
            for column in range(columns):
                x = ((grids[k, row, column, 0] + ONE) * np.float32(width) - ONE) * HALF
                y = ((grids[k, row, column, 1] + ONE) * np.float32(height) - ONE) * HALF
                x, y = min(max(x, ZERO), right), min(max(y, ZERO), low)
                x0, y0 = min(np.int32(x), last_x), min(np.int32(y), last_y)
                across[column], down[column] = x - np.float32(x0), y - np.float32(y0)
                places[column] = np.uint32(y0 * np.int32(width) + x0)
            for c in range(channels):
                pixels, line = images[k, c].reshape(-1), sampled[k, c, row]
                for column in range(columns):
                    place = np.uint64(places[column])
                    upper = pixels[place]
                    upper += across[column] * (pixels[place + beside] - upper)
                    lower = pixels[place + below]
                    lower += across[column] * (pixels[place + below + beside] - lower)
                    line[column] = upper + down[column] * (lower - upper)


def relight_planes(
    colors: NDArray[np.float32],  # [K, 3, S, S]
    matrix: NDArray[np.float32],  # [3, 3]
    offset: NDArray[np.float32],  # [3]
    power: float,
    slope: NDArray[np.float32],  # [2]
    min_level: float,
) -> None:
    """Bring colors into a scene's light in place, as `LightMatch.to_scene` does.

    Args:
        colors: RGB in [0, 1]. [K, 3, S, S]
        matrix: of the match. [3, 3]
        offset: of the match. [3]
        power: of the match.
        slope: of the match. [2]
        min_level: smallest level whose power is taken.
    """
    size = colors.shape[-1]
    centers = (np.arange(size, dtype=np.float32) + HALF) * np.float32(2 / size) - ONE
    gains = np.exp(slope[:, None] * centers)
    levels = np.linspace(0, POWER_TOP, POWER_ENTRIES + 1).clip(min_level)
    table = (levels**power).astype(np.float32)
    _relight_kernel(colors, matrix, offset, np.float32(power), gains, table)


@njit_cached
def _look_up(table, place):
    """Interpolate between two entries of a table."""
    entry = np.uint32(place)
    before = table[entry]
    return before + (place - np.float32(entry)) * (table[entry + np.uint32(1)] - before)


@njit_cached
def _relight_kernel(colors, matrix, offset, power, gains, table):
    """Change ``colors``, see `relight_planes`; ``gains`` [2, S] along x and y."""
    count, _, height, width = colors.shape
    steps = len(table) - 1
    scale, last = np.float32(steps / POWER_TOP), np.float32(steps - 1)
    mixed = np.empty((3, width), np.float32)
    for k in range(count):
        for row in range(height):
            red, green, blue = colors[k, 0, row], colors[k, 1, row], colors[k, 2, row]
            for c in range(3):
                by_red, by_green, by_blue = matrix[c, 0], matrix[c, 1], matrix[c, 2]
                for column in range(width):
                    value = by_red * red[column] + by_green * green[column]
                    value = value + by_blue * blue[column] + offset[c]
                    mixed[c, column] = max(value, ZERO)
                if power == ONE:
                    continue
                # What no color exceeds is looked up without a question, in vectors.
                most = max(by_red, ZERO) + max(by_green, ZERO) + max(by_blue, ZERO) + offset[c]
                if most * scale < last:
                    for column in range(width):
                        mixed[c, column] = _look_up(table, mixed[c, column] * scale)
                    continue
                for column in range(width):
                    place = mixed[c, column] * scale
                    if place < np.float32(steps):
                        mixed[c, column] = _look_up(table, place)
                    else:
                        mixed[c, column] = mixed[c, column] ** power
            for c in range(3):
                out, gain = colors[k, c, row], gains[1, row]
                for column in range(width):
                    out[column] = min(max(mixed[c, column] * (gain * gains[0, column]), ZERO), ONE)


@njit_cached
def average_cells(scene, alpha, mesh, covered, cell, colors, part, beside):
    """Average the known skin of a window over cells.

    Args:
        scene: RGB in [0, 1]. [3, S, S]
        alpha: opacity of the paint; where it is above 0 nothing is known. [S, S]
        mesh: 1 where the mesh covers the pixel. [S, S]
        covered: True where something lies over the face. [S, S]
        cell: edge of a cell, px.
        colors: is filled with the mean colors of what is known. [3, h, w]
        part: is filled with the part of each cell that is known. [h, w]
        beside: is filled with the part of each cell that the mesh leaves out. [h, w]
    """
    height, width = part.shape
    share = ONE / np.float32(cell * cell)
    colors[:] = ZERO
    part[:] = ZERO
    beside[:] = ZERO
    for row in range(height * cell):
        for column in range(width * cell):
            y, x = row // cell, column // cell
            beside[y, x] += share * (ONE - mesh[row, column])
            if alpha[row, column] > ZERO or covered[row, column]:
                continue
            known = share * mesh[row, column]
            part[y, x] += known
            for c in range(3):
                colors[c, y, x] += known * scene[c, row, column]
    for y in range(height):
        for x in range(width):
            if part[y, x] > ZERO:
                for c in range(3):
                    colors[c, y, x] /= part[y, x]


@njit_cached
def correlate_planes(values, positions, quarters, min_cells):
    """Correlate two columns of cells, each without a plane, in each quarter of a window.

    Args:
        values: two values of each cell. [N, 2]
        positions: x and y. [N, 2]
        quarters: number of each cell's quarter, 0 to 3. [N]
        min_cells: quarters of fewer cells do not count.

    Returns:
        Mean of the quarters' correlations, by their numbers of cells; 0 where none counts.
    """
    total, count = 0.0, 0
    for quarter in range(4):
        # Sums of products of 1, x, y and the two values.
        sums = np.zeros((5, 5))
        row = np.ones(5)
        for n in range(len(quarters)):
            if quarters[n] != quarter:
                continue
            row[1], row[2] = positions[n, 0], positions[n, 1]
            row[3], row[4] = values[n, 0], values[n, 1]
            for i in range(5):
                for j in range(i, 5):
                    sums[i, j] += row[i] * row[j]
        cells = int(sums[0, 0])
        if cells < min_cells:
            continue
        # Elimination of 1, x and y leaves the products of what planes do not explain.
        for pivot in range(3):
            if sums[pivot, pivot] <= 1e-9 * cells:
                continue
            for i in range(pivot + 1, 5):
                factor = sums[pivot, i] / sums[pivot, pivot]
                for j in range(i, 5):
                    sums[i, j] -= factor * sums[pivot, j]
        # What is added keeps the rounding of black frames from agreeing.
        total += cells * sums[3, 4] / np.sqrt(max(sums[3, 3], 0.0) * max(sums[4, 4], 0.0) + 1e-9)
        count += cells
    return total / max(count, 1)


@njit_cached
def measure_deviations(slopes, covariance, deviations):
    """Fill the standard deviations [N, 3] of values with slopes [N, 3, P] of P parameters."""
    size = len(covariance)
    for n in range(slopes.shape[0]):
        for c in range(slopes.shape[1]):
            variance = 0.0
            for i in range(size):
                row = 0.5 * covariance[i, i] * slopes[n, c, i]
                for j in range(i):
                    row += covariance[i, j] * slopes[n, c, j]
                variance += 2 * slopes[n, c, i] * row
            deviations[n, c] = np.sqrt(max(variance, 0.0))


def city_distances(mask: NDArray[np.bool_]) -> NDArray[np.int32]:
    """Measure how many steps across and down each pixel lies from a mask.

    Within n steps lies what n rounds of `scipy.ndimage.binary_dilation` find.

    Args:
        mask: True from where steps are counted. [H, W]

    Returns:
        Steps; more than all pixels where the mask is empty. [H, W]
    """
    steps = np.where(mask, 0, mask.size + 1).astype(np.int32)
    _distance_kernel(steps)
    return steps


@njit_cached
def _distance_kernel(steps):
    """Lower ``steps`` to what a neighbor's and one more are, down and up again."""
    height, width = steps.shape
    for row in range(height):
        for column in range(width):
            if row > 0:
                steps[row, column] = min(steps[row, column], steps[row - 1, column] + 1)
            if column > 0:
                steps[row, column] = min(steps[row, column], steps[row, column - 1] + 1)
    for row in range(height - 1, -1, -1):
        for column in range(width - 1, -1, -1):
            if row < height - 1:
                steps[row, column] = min(steps[row, column], steps[row + 1, column] + 1)
            if column < width - 1:
                steps[row, column] = min(steps[row, column], steps[row, column + 1] + 1)


def measure_strangeness(
    seen: NDArray[np.float32],  # [3, S, S]
    expected: NDArray[np.float32],  # [K, 3, S, S]
    where: NDArray[np.bool_],  # [S, S]
    reach: NDArray[np.int32],  # [S, S]
    least: float,
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Measure how far colors lie above and below all that references show within some px.

    Args:
        seen: RGB. [3, S, S]
        expected: RGB of the references. [K, 3, S, S]
        where: pixels that are measured. [S, S]
        reach: how far around each pixel references are looked at, px. [S, S]
        least: distances up to this one are given as 0.

    Returns:
        Greatest distance of a channel above, and below; 0 where ``where`` is False. [S, S] each
    """
    above, below = np.zeros((2, *where.shape), np.float32)
    _strangeness_kernel(seen, expected, where, reach, np.float32(least), above, below)
    return above, below


@njit_cached
def _strangeness_kernel(seen, expected, where, reach, least, above, below):
    """Fill ``above`` and ``below``, see `measure_strangeness`."""
    height, width = where.shape
    low, high = expected[0].copy(), expected[0].copy()
    for k in range(1, len(expected)):
        for c in range(3):
            for row in range(height):
                for column in range(width):
                    value = expected[k, c, row, column]
                    low[c, row, column] = min(low[c, row, column], value)
                    high[c, row, column] = max(high[c, row, column], value)
    for row in range(height):
        for column in range(width):
            if not where[row, column]:
                continue
            # Most pixels have a color that the references show at the same place.
            far = ZERO
            for c in range(3):
                value = seen[c, row, column]
                far = max(far, value - high[c, row, column], low[c, row, column] - value)
            if far <= least:
                continue
            reached = reach[row, column]
            top, bottom = max(row - reached, 0), min(row + reached + 1, height)
            left, right = max(column - reached, 0), min(column + reached + 1, width)
            over, under = ZERO, ZERO
            for c in range(3):
                value = seen[c, row, column]
                largest, smallest = high[c, row, column], low[c, row, column]
                for y in range(top, bottom):
                    for x in range(left, right):
                        largest = max(largest, high[c, y, x])
                        smallest = min(smallest, low[c, y, x])
                    # A channel that is near enough has no say any more.
                    if value - largest <= least and smallest - value <= least:
                        break
                over = max(over, value - largest)
                under = max(under, smallest - value)
            if over > least:
                above[row, column] = over
            if under > least:
                below[row, column] = under


@njit_cached
def find_alike(window, colors, where, reach, alike):
    """Tell which pixels of a part of a window have nearly one of some colors.

    Args:
        window: RGB levels, 0 to 255. [S, S, 3]
        colors: RGB in [0, 1]. [N, 3]
        where: pixels that are looked at. [S, S]
        reach: largest difference of a channel, in [0, 1].
        alike: is set to True where a color is met. [S, S]
    """
    for row in range(where.shape[0]):
        for column in range(where.shape[1]):
            if not where[row, column]:
                continue
            red = np.float32(window[row, column, 0]) / np.float32(255)
            green = np.float32(window[row, column, 1]) / np.float32(255)
            blue = np.float32(window[row, column, 2]) / np.float32(255)
            for n in range(len(colors)):
                far = max(
                    abs(red - colors[n, 0]), abs(green - colors[n, 1]), abs(blue - colors[n, 2])
                )
                if far < reach:
                    alike[row, column] = True
                    break
