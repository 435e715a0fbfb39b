"""Ways to make one value of a clip out of those of its frames."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def finite_mean(values: NDArray[np.float64]) -> float:
    """Average the finite values [N].

    A frame of infinite PSNR was passed through and not edited, so it says nothing about the edit.

    Returns:
        Arithmetic mean; infinity if there are only infinite values, NaN if there are no values.

    Example:
        >>> finite_mean(np.array([30.0, 32.0, np.inf, np.nan]))
        31.0
    """
    finite = values[np.isfinite(values)]
    if len(finite):
        return float(finite.mean())
    return float("inf") if np.isinf(values).any() else float("nan")


def geometric_mean(values: NDArray[np.float64]) -> float:
    """Average the positive finite values [N] geometrically, which is fair to ratios.

    Returns:
        Geometric mean; NaN if there is no positive value.

    Example:
        >>> round(geometric_mean(np.array([0.5, 2.0, np.nan])), 6)
        1.0
    """
    positive = values[np.isfinite(values) & (values > 0)]
    return float(np.exp(np.log(positive).mean())) if len(positive) else float("nan")


def maximum(values: NDArray[np.float64]) -> float:
    """Return the largest of the values [N], or 0 if there are none."""
    return float(values.max(initial=0.0))
