"""Smooth random fields, the raw material of procedural textures."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix


def smooth_noise(
    rng: np.random.Generator, height: int, width: int, cell_px: float | tuple[float, float]
) -> NDArray[np.float32]:
    """Random field with features of about ``cell_px`` px (one size, or rows and columns).

    Returns:
        Mean 0, standard deviation 1. [height, width]
    """
    rows, columns = cell_px if isinstance(cell_px, tuple) else (cell_px, cell_px)
    down = _catmull_rom_weights(height, rows, rng.uniform(0, 1))
    across = _catmull_rom_weights(width, columns, rng.uniform(0, 1))
    grid = rng.standard_normal((down.shape[1], across.shape[1]), np.float32)
    field = (across @ (down @ grid).T).T
    return ((field - field.mean()) / (field.std() + 1e-9)).astype(np.float32)


def _catmull_rom_weights(num_pixels: int, cell_px: float, offset: float) -> csr_matrix:
    """Catmull-Rom weights of grid values, ``cell_px`` px apart, at each pixel. [count, grid]"""
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
    """Sum of octaves, each half as large and 0.6 as strong. Mean 0, deviation 1. [H, W]"""
    total = np.zeros((height, width), np.float32)
    for octave in range(octaves):
        size = max(cell_px / 2**octave, 1.0)
        total += 0.6**octave * smooth_noise(rng, height, width, size)
    return total / total.std()
