"""Points onto other points, in the plane."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def fit_similarity_transform(
    source: NDArray[np.floating],  # [K, 2]
    target: NDArray[np.floating],  # [K, 2]
) -> NDArray[np.float64]:  # [2, 3]
    """The rotation, uniform scale and shift that brings points nearest to others.

    Returns:
        Matrix M with ``target ≈ source @ M[:, :2].T + M[:, 2]``.

    Source: Umeyama 1991, in the plane, where a complex number does rotation and scale at once.
    """
    a = source[:, 0] + 1j * source[:, 1].astype(np.float64)
    b = target[:, 0] + 1j * target[:, 1].astype(np.float64)
    a_mean, b_mean = a.mean(), b.mean()
    turn = np.vdot(a - a_mean, b - b_mean) / max(np.vdot(a - a_mean, a - a_mean).real, 1e-12)
    shift = b_mean - turn * a_mean
    return np.array(
        [[turn.real, -turn.imag, shift.real], [turn.imag, turn.real, shift.imag]], np.float64
    )
