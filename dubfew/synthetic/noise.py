"""Smooth random fields, the raw material of procedural textures."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

# Strength of an octave against the one that is twice as coarse. Near 1 the finest octave drowns the
# rest, near 0 only the coarsest is left.
OCTAVE_GAIN = 0.6


def smooth_noise(
    rng: np.random.Generator, height: int, width: int, cell_px: float | tuple[float, float]
) -> NDArray[np.float32]:
    """Draw a random field of mean 0 and standard deviation 1 with features of one size.

    Args:
        rng: source of the field.
        height: of the field, px.
        width: of the field, px.
        cell_px: size of the features, px: one size, or that along columns and that along rows.

    Returns:
        Random values on a coarse grid, interpolated smoothly. [height, width]

    Example:
        >>> field = smooth_noise(np.random.default_rng(0), 32, 48, 6)
        >>> field.shape, bool(abs(field.std() - 1) < 1e-3)
        ((32, 48), True)
    """
    rows, columns = cell_px if isinstance(cell_px, tuple) else (cell_px, cell_px)
    # A random offset of the grid, or all fields would have their extremes at the same pixels.
    down = _catmull_rom_weights(height, rows, rng.uniform(0, 1))
    across = _catmull_rom_weights(width, columns, rng.uniform(0, 1))
    grid = rng.standard_normal((down.shape[1], across.shape[1]), np.float32)
    field = (across @ (down @ grid).T).T
    return ((field - field.mean()) / (field.std() + 1e-9)).astype(np.float32)


def _catmull_rom_weights(num_pixels: int, cell_px: float, offset: float) -> csr_matrix:
    """Weights of grid values, ``cell_px`` px apart, at each pixel. [num_pixels, grid]

    Catmull-Rom splines pass through the grid's values and keep constants and straight lines, so
    that the field's statistics do not depend on where a pixel lies between them.
    """
    place = np.arange(num_pixels) / cell_px + 1 + offset
    index = place.astype(int)
    t = place - index
    weights = 0.5 * np.stack(
        [
            -t + 2 * t**2 - t**3,
            2 - 5 * t**2 + 3 * t**3,
            t + 4 * t**2 - 3 * t**3,
            -(t**2) + t**3,
        ]
    )
    columns = index + np.arange(-1, 3)[:, None]
    rows = np.broadcast_to(np.arange(num_pixels), columns.shape)
    return csr_matrix(
        (weights.ravel().astype(np.float32), (rows.ravel(), columns.ravel())),
        shape=(num_pixels, int(index[-1]) + 3),
    )


def fractal_noise(
    rng: np.random.Generator, height: int, width: int, cell_px: float, octaves: int = 4
) -> NDArray[np.float32]:
    """Draw a random field with features of many sizes: a sum of ever finer `smooth_noise`.

    Args:
        rng: source of the field.
        height: of the field, px.
        width: of the field, px.
        cell_px: size of the coarsest features, px.
        octaves: number of sizes; each is half as large and ``OCTAVE_GAIN`` times as strong as the
            one before it.

    Returns:
        Standard deviation 1. [height, width]
    """
    total = np.zeros((height, width), np.float32)
    for octave in range(octaves):
        size = max(cell_px / 2**octave, 1.0)
        total += OCTAVE_GAIN**octave * smooth_noise(rng, height, width, size)
    return total / total.std()
