"""Least-squares similarity transform between two sets of points in the plane."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def fit_similarity_transform(
    source: NDArray[np.floating],  # [K, 2]
    target: NDArray[np.floating],  # [K, 2]
) -> NDArray[np.float64]:  # [2, 3]
    """Fit the rotation, uniform scale and shift that map points nearest to other points.

    Args:
        source: points that are moved, in any unit. [K, 2]
        target: points that they should reach. [K, 2]

    Returns:
        Matrix M with ``target ≈ source @ M[:, :2].T + M[:, 2]``. [2, 3]

    Source: Umeyama 1991, "Least-Squares Estimation of Transformation Parameters Between Two Point
    Patterns" (IEEE TPAMI 13), in the plane, where one complex number is rotation and scale.

    Example:
        >>> source = np.array([[0.0, 0], [1, 0], [0, 1]])
        >>> matrix = fit_similarity_transform(source, 2 * source + [3, 4])
        >>> (matrix.round(6) + 0.0).tolist()
        [[2.0, 0.0, 3.0], [0.0, 2.0, 4.0]]
    """
    a = source[:, 0] + 1j * source[:, 1].astype(np.float64)
    b = target[:, 0] + 1j * target[:, 1].astype(np.float64)
    a_mean, b_mean = a.mean(), b.mean()
    # Points that all coincide have no scale: the limit keeps the division finite.
    rotation_scale = np.vdot(a - a_mean, b - b_mean) / max(
        np.vdot(a - a_mean, a - a_mean).real, 1e-12
    )
    shift = b_mean - rotation_scale * a_mean
    return np.array(
        [
            [rotation_scale.real, -rotation_scale.imag, shift.real],
            [rotation_scale.imag, rotation_scale.real, shift.imag],
        ],
        np.float64,
    )
