"""Smooth random fields, the raw material of procedural textures."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage


def smooth_noise(
    rng: np.random.Generator, height: int, width: int, cell: float | tuple[float, float]
) -> NDArray[np.float32]:
    """Random field with features of about ``cell`` px (one size, or rows and columns).

    Returns:
        Mean 0, standard deviation 1. [height, width]
    """
    rows, columns = cell if isinstance(cell, tuple) else (cell, cell)
    grid = rng.standard_normal((int(height / rows) + 4, int(width / columns) + 4))
    y = np.arange(height) / rows + rng.uniform(1, 2)
    x = np.arange(width) / columns + rng.uniform(1, 2)
    # Separable cubic interpolation: columns first, then rows.
    grid = ndimage.map_coordinates(
        grid, np.meshgrid(np.arange(grid.shape[0]), x, indexing="ij"), order=3, mode="nearest"
    )
    field = ndimage.map_coordinates(
        grid, np.meshgrid(y, np.arange(width), indexing="ij"), order=3, mode="nearest"
    )
    return ((field - field.mean()) / (field.std() + 1e-9)).astype(np.float32)


def cloud_noise(
    rng: np.random.Generator, height: int, width: int, cell: float, octaves: int = 4
) -> NDArray[np.float32]:
    """Sum of octaves, each half as large and 0.6 as strong. Mean 0, deviation 1. [H, W]"""
    total = np.zeros((height, width), np.float32)
    for octave in range(octaves):
        size = max(cell / 2**octave, 1.0)
        total += 0.6**octave * smooth_noise(rng, height, width, size)
    return total / total.std()
