"""A smooth step between two numbers."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def smoothstep(begin: float, end: float, value: NDArray) -> NDArray:
    """Rise smoothly from 0 at ``begin`` to 1 at ``end``, which may be the smaller one.

    Args:
        begin: value at which the result leaves 0.
        end: value at which it reaches 1; not ``begin``.
        value: numbers of any shape.
    """
    t = np.clip((value - begin) / (end - begin), 0, 1)
    return t * t * (3 - 2 * t)
