"""The derivatives of posed points by jaw and expression, as a compiled loop."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dubfew.utils.jit import njit_cached


@njit_cached
def fill_jacobian(
    jacobian: NDArray[np.float32],  # [N, L, I, K], K at least first + 3 + E
    first: int,
    by_point: NDArray[np.float64],  # [N, L, I, 3]
    jaw_arm: NDArray[np.float64],  # [N, L, 3]
    jaw_rotation: NDArray[np.float64],  # [N, 3, 3]
    jaw_weight: NDArray[np.float64],  # [L]
    expression_basis: NDArray[np.float32],  # [L, 3, E]
) -> None:
    """Fill in the derivatives of values by jaw, then expression, from a column on.

    Pose correctives, and joints that move with the expression, are left out.

    Args:
        jacobian: array to fill. [N, L, I, K]
        first: its first column to fill.
        by_point: derivatives of I values per point by the point's position. [N, L, I, 3]
        jaw_arm: vector from the jaw's joint to each point that follows it, m. [N, L, 3]
        jaw_rotation: rotation of the jaw. [N, 3, 3]
        jaw_weight: part of the jaw's motion that each point follows, 0 to 1. [L]
        expression_basis: displacements by expression, m. [L, 3, E]
    """
    num_expressions = expression_basis.shape[2]
    for n in range(by_point.shape[0]):
        turn = jaw_rotation[n]
        for point in range(by_point.shape[1]):
            weight = jaw_weight[point]
            x, y, z = jaw_arm[n, point]
            basis = expression_basis[point]
            for i in range(by_point.shape[2]):
                a, b, c = by_point[n, point, i]
                row = jacobian[n, point, i]
                # Jaw: d (exp(a) p) / da = -[p]x, and u^T [p]x = (u x p)^T.
                row[first] = (c * y - b * z) * weight
                row[first + 1] = (a * z - c * x) * weight
                row[first + 2] = (b * x - a * y) * weight
                # Blend skinning: a point follows the jaw by its weight and stays for the rest.
                stays = 1 - weight
                along = a * turn[0, 0] + b * turn[1, 0] + c * turn[2, 0]
                by_x = np.float32(weight * along + stays * a)
                along = a * turn[0, 1] + b * turn[1, 1] + c * turn[2, 1]
                by_y = np.float32(weight * along + stays * b)
                along = a * turn[0, 2] + b * turn[1, 2] + c * turn[2, 2]
                by_z = np.float32(weight * along + stays * c)
                part = row[first + 3 : first + 3 + num_expressions]
                for e in range(num_expressions):
                    part[e] = by_x * basis[0, e] + by_y * basis[1, e] + by_z * basis[2, e]
