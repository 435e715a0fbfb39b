"""Compiled loops of compositing: what a mouth costs is a few passes over its pixels.

The same arithmetic as `torch.nn.functional.grid_sample` and `dubfew.references.detail`, to
rounding, without arrays between the steps. The kernels release the GIL, so stages of a render run
beside them.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dubfew.references.detail import ENERGY_WINDOW_FACTOR, MAX_DETAIL_GAIN, MIN_DETAIL_ENERGY
from dubfew.utils.jit import njit_cached, njit_cached_fast

# Coefficient of the cubic kernel, that of PyTorch's bicubic sampling.
CUBIC_COEFFICIENT = np.float32(-0.75)
# Weight of a reference below which it is left out: a tenth of a level of 255 at most. Nearly all
# pixels have one or two references above it, and sampling is most of the work.
MIN_REFERENCE_WEIGHT = np.float32(4e-4)
# Numbers in single precision: with Python's own, numba would compute in double precision.
ZERO, HALF, ONE, TWO, THREE = (np.float32(value) for value in (0, 0.5, 1, 2, 3))


# References that stay ready for sampling beside those of a frame: neighbors share most of theirs.
READY_REFERENCES = 3


class ReadyReferences:
    """References in the form that they are sampled in, those of the last frames.

    Args:
        images: all references, RGB. [N, R, R, 3]
    """

    def __init__(self, images: NDArray[np.uint8]) -> None:
        self._images = images
        # Four floats for a pixel: the compiler reads and multiplies them at once.
        self.pixels = np.zeros((0, *images.shape[1:3], 4), np.float32)
        # Place of each row that is ready, the one that was asked for last at the end.
        self._places: dict[int, int] = {}

    def find_places(self, rows: NDArray) -> NDArray[np.int64]:
        """Return where in ``pixels`` some rows are, and make them ready where they are not.

        Args:
            rows: rows of the references. [K]

        Returns:
            Places, valid until the next call. [K]
        """
        wanted = [int(row) for row in rows]
        room = len(set(wanted)) + READY_REFERENCES
        if len(self.pixels) < room:
            self.pixels = np.zeros((room, *self.pixels.shape[1:]), np.float32)
            self._places.clear()
        # Those of this frame come last, so that none of them makes way for another.
        kept = {row: self._places.pop(row) for row in wanted if row in self._places}
        self._places.update(kept)
        for row in wanted:
            if row in self._places:
                continue
            place = len(self._places)
            if place == len(self.pixels):
                place = self._places.pop(next(iter(self._places)))
            self.pixels[place, ..., :3] = self._images[row]
            self._places[row] = place
        return np.array([self._places[row] for row in wanted], np.int64)


def blend_references(
    fields: NDArray[np.float32],  # [S, S, K + 3 + 2 K]
    pixels: NDArray[np.float32],  # [P, R, R, 4]
    places: NDArray[np.int64],  # [K]
    energies: NDArray[np.float32],  # [K, r, r]
    window: NDArray[np.float32],  # [3]
    box: tuple[int, int, int, int],
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Enlarge blend fields to a box of the frame and blend the references by them.

    Args:
        fields: weights of the references, colors to add, positions in the references as x and y
            in [-1, 1]; channels last. [S, S, K + 3 + 2 K]
        pixels: references, RGB levels and one that is not used. [P, R, R, 4]
        places: which of them. [K]
        energies: energy of the fine detail of each reference. [K, r, r]
        window: left, top and side of the window that the fields cover, px of the frame. [3]
        box: left, top, right and bottom of the box, px of the frame.

    Returns:
        RGB, 1 is white, not clamped [h, w, 3], and the blended energy [h, w].
    """
    left, top, right, bottom = box
    colors = np.empty((bottom - top, right - left, 3), np.float32)
    energy = np.empty(colors.shape[:2], np.float32)
    _blend_kernel(
        fields, pixels, places, energies, float(window[0]), float(window[1]), float(window[2]),
        left, top, colors, energy,
    )  # fmt: skip
    return colors, energy


@njit_cached
def _cubic_weights(t, weights):
    """Write the four weights of cubic interpolation at a fraction t behind the second sample."""
    a = CUBIC_COEFFICIENT
    far = ONE - t
    weights[0] = a * t * far * far
    weights[1] = ((a + TWO) * t - (a + THREE)) * t * t + ONE
    weights[2] = ((a + TWO) * far - (a + THREE)) * far * far + ONE
    weights[3] = a * far * t * t


@njit_cached_fast
def _blend_kernel(
    fields,
    images,
    places,
    energies,
    window_left,
    window_top,
    window_side,
    left,
    top,
    colors,
    energy,
):
    """Fill ``colors`` and ``energy``, see `blend_references`."""
    size, channels = fields.shape[0], fields.shape[2]
    count, edge, small = len(places), images.shape[1], energies.shape[1]
    wx = np.empty(4, np.float32)
    wy = np.empty(4, np.float32)
    values = np.empty(channels, np.float32)
    line_fields = np.empty((size, channels), np.float32)
    pixels = images.reshape(-1)
    step = size / window_side
    edge_px, small_px = np.float32(edge), np.float32(small)
    low, high = np.float32(-2), np.float32(edge + 1)
    for row in range(colors.shape[0]):
        # Position in the fields, in their pixels; their edge repeats.
        y = min(max((top + row + 0.5 - window_top) * step - 0.5, 0.0), size - 1.0)
        y0 = int(y)
        y1 = min(y0 + 1, size - 1)
        fy = np.float32(y - y0)
        # Between two rows of the fields once, then between their columns for each pixel.
        for place in range(size):
            for k in range(channels):
                upper = fields[y0, place, k]
                line_fields[place, k] = upper + fy * (fields[y1, place, k] - upper)
        for column in range(colors.shape[1]):
            x = min(max((left + column + 0.5 - window_left) * step - 0.5, 0.0), size - 1.0)
            x0 = int(x)
            x1 = min(x0 + 1, size - 1)
            fx = np.float32(x - x0)
            for k in range(channels):
                values[k] = line_fields[x0, k] + fx * (line_fields[x1, k] - line_fields[x0, k])
            red = values[count]
            green = values[count + 1]
            blue = values[count + 2]
            blended = ZERO
            for k in range(count):
                weight = values[k]
                if weight < MIN_REFERENCE_WEIGHT:
                    continue
                px = values[count + 3 + 2 * k]
                py = values[count + 4 + 2 * k]
                # Bicubic in the reference. Positions far outside read the edge alone.
                rx = min(max(((px + ONE) * edge_px - ONE) * HALF, low), high)
                ry = min(max(((py + ONE) * edge_px - ONE) * HALF, low), high)
                bx = int(np.floor(rx))
                by = int(np.floor(ry))
                _cubic_weights(rx - np.float32(bx), wx)
                _cubic_weights(ry - np.float32(by), wy)
                r, g, u = ZERO, ZERO, ZERO
                for j in range(4):
                    line = min(max(by - 1 + j, 0), edge - 1)
                    for i in range(4):
                        place = min(max(bx - 1 + i, 0), edge - 1)
                        # Unsigned: numba would look at each index for a negative one.
                        start = np.uint64(4 * ((places[k] * edge + line) * edge + place))
                        tap = wy[j] * wx[i]
                        r += tap * pixels[start]
                        g += tap * pixels[start + np.uint64(1)]
                        u += tap * pixels[start + np.uint64(2)]
                scaled = weight / np.float32(255)
                red += scaled * r
                green += scaled * g
                blue += scaled * u
                # Bilinear in the map of the reference's energy.
                ex = min(max(((px + ONE) * small_px - ONE) * HALF, ZERO), small_px - ONE)
                ey = min(max(((py + ONE) * small_px - ONE) * HALF, ZERO), small_px - ONE)
                ix = int(ex)
                iy = int(ey)
                jx = min(ix + 1, small - 1)
                jy = min(iy + 1, small - 1)
                gx = ex - np.float32(ix)
                gy = ey - np.float32(iy)
                upper = energies[k, iy, ix] + gx * (energies[k, iy, jx] - energies[k, iy, ix])
                lower = energies[k, jy, ix] + gx * (energies[k, jy, jx] - energies[k, jy, ix])
                blended += weight * (upper + gy * (lower - upper))
            colors[row, column, 0] = red
            colors[row, column, 1] = green
            colors[row, column, 2] = blue
            energy[row, column] = blended


def measure_detail(
    image: NDArray[np.uint8],  # [R, R, 3]
    scale_px: int,
    shrink: int,
) -> NDArray[np.float32]:  # [r, r]
    """Compute the energy of the fine detail of an image, see `local_detail_energy`, shrunk.

    Args:
        image: RGB levels. [R, R, 3]
        scale_px: scale of the detail, px.
        shrink: edge of the squares that are averaged; at the border their part inside. [r, r]
    """
    levels = image.astype(np.float32) / np.float32(255)
    fine = _box_mean(levels, scale_px)
    squared = np.empty((*image.shape[:2], 1), np.float32)
    _subtract_and_square_kernel(levels, fine, squared)
    energy = _box_mean(squared, ENERGY_WINDOW_FACTOR * scale_px // 2)[..., 0]
    # Running sums may leave less than nothing where there is no detail.
    energy = np.maximum(energy, 0)
    for axis, length in enumerate(image.shape[:2]):
        starts = np.arange(0, length, shrink)
        counts = np.minimum(starts + shrink, length) - starts
        energy = np.add.reduceat(energy, starts, axis)
        energy /= counts.reshape(-1, 1) if axis == 0 else counts
    return np.asarray(energy, np.float32)


def restore_detail(
    colors: NDArray[np.float32],  # [h, w, 3]
    target_energy: NDArray[np.float32],  # [h, w]
    scale_px: int,
) -> NDArray[np.float32]:  # [h, w, 3]
    """Amplify the fine detail of an image to an energy, then bring it to levels 0 to 255.

    `dubfew.references.detail.restore_high_frequencies` says what is done; here channels come last.

    Args:
        colors: blended image, 1 is white. [h, w, 3]
        target_energy: energy that the result should have. [h, w]
        scale_px: scale of the detail, px.

    Returns:
        The image in levels, clamped to 0 to 255. [h, w, 3]
    """
    height, width = target_energy.shape
    fine = _box_mean(colors, scale_px)
    squared = np.empty((height, width, 1), np.float32)
    _subtract_and_square_kernel(colors, fine, squared)
    energy = _box_mean(squared, ENERGY_WINDOW_FACTOR * scale_px // 2)
    _amplify_kernel(colors, fine, energy, target_energy)
    return fine


def _box_mean(values: NDArray[np.float32], radius: int) -> NDArray[np.float32]:
    """Average over a square of 2 radius + 1 px, at the border over its part inside. [h, w, c]"""
    across = np.empty_like(values)
    _mean_along_rows_kernel(values, radius, across)
    mean = np.empty_like(values)
    _mean_along_columns_kernel(across, radius, mean)
    return mean


@njit_cached
def _mean_along_rows_kernel(values, radius, out):
    """Fill ``out`` with means along each row, by running sums."""
    height, width, channels = values.shape
    for row in range(height):
        for channel in range(channels):
            # float64: the sum takes up and gives back each value once, and must not drift.
            total = 0.0
            for column in range(min(radius, width)):
                total += values[row, column, channel]
            for column in range(width):
                if column + radius < width:
                    total += values[row, column + radius, channel]
                if column - radius - 1 >= 0:
                    total -= values[row, column - radius - 1, channel]
                covered = min(column + radius, width - 1) - max(column - radius, 0) + 1
                out[row, column, channel] = total / covered


@njit_cached
def _mean_along_columns_kernel(values, radius, out):
    """Fill ``out`` with means along each column, by running sums of whole rows."""
    height, width, channels = values.shape
    total = np.zeros((width, channels))
    for row in range(min(radius, height)):
        for column in range(width):
            for channel in range(channels):
                total[column, channel] += values[row, column, channel]
    for row in range(height):
        enters, leaves = row + radius, row - radius - 1
        covered = min(row + radius, height - 1) - max(row - radius, 0) + 1
        for column in range(width):
            for channel in range(channels):
                if enters < height:
                    total[column, channel] += values[enters, column, channel]
                if leaves >= 0:
                    total[column, channel] -= values[leaves, column, channel]
                out[row, column, channel] = total[column, channel] / covered


@njit_cached
def _subtract_and_square_kernel(colors, mean, squared):
    """Turn ``mean`` into the fine detail in place, and ``squared`` into its mean square."""
    for row in range(colors.shape[0]):
        for column in range(colors.shape[1]):
            total = np.float32(0)
            for channel in range(3):
                fine = colors[row, column, channel] - mean[row, column, channel]
                mean[row, column, channel] = fine
                total += fine * fine
            squared[row, column, 0] = total / 3


@njit_cached
def _amplify_kernel(colors, fine, energy, target):
    """Turn ``fine`` into the image with amplified detail, in place, in levels 0 to 255."""
    for row in range(colors.shape[0]):
        for column in range(colors.shape[1]):
            # Running sums may leave less than nothing where there is no detail.
            found = max(energy[row, column, 0], np.float32(0))
            ratio = (target[row, column] + MIN_DETAIL_ENERGY) / (found + MIN_DETAIL_ENERGY)
            gain = min(max(ratio**0.5, 1.0), MAX_DETAIL_GAIN) - 1
            for channel in range(3):
                value = colors[row, column, channel] + gain * fine[row, column, channel]
                fine[row, column, channel] = min(max(value, 0.0), 1.0) * 255


def mix_pixels(
    original: NDArray[np.float32],  # [h, w, 3]
    mouth: NDArray[np.float32],  # [h, w, 3]
    alpha: NDArray[np.float32],  # [h, w]
) -> NDArray[np.float32]:  # [h, w, 3]
    """Mix a mouth into the original by its opacity, levels 0 to 255, not rounded.

    Args:
        original: pixels of the frame, RGB levels. [h, w, 3]
        mouth: RGB, levels. [h, w, 3]
        alpha: opacity of the mouth, 0 to 1. [h, w]
    """
    mixed = np.empty_like(mouth)
    _mix_kernel(original, mouth, alpha, mixed)
    return mixed


@njit_cached
def _mix_kernel(original, mouth, alpha, mixed):
    """Fill ``mixed``, see `mix_pixels`."""
    for row in range(alpha.shape[0]):
        for column in range(alpha.shape[1]):
            opacity = alpha[row, column]
            for channel in range(3):
                old = np.float32(original[row, column, channel])
                mixed[row, column, channel] = old + opacity * (mouth[row, column, channel] - old)
