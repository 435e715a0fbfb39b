"""Runs of True in a sequence of flags."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray


def iterate_runs(flags: NDArray[np.bool_]) -> Iterator[tuple[int, int]]:
    """Yield start and stop (after the last) of every run of True.

    Args:
        flags: a sequence of flags. [N]

    Example:
        >>> list(iterate_runs(np.array([True, False, True, True])))
        [(0, 1), (2, 4)]
    """
    edges = np.flatnonzero(np.diff(np.concatenate([[False], flags, [False]]).astype(np.int8)))
    yield from zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True)
