"""Rows of an array that come one by one, without a second copy when they are many."""

from __future__ import annotations

import numpy as np
from numpy.typing import DTypeLike, NDArray

GROWTH = 256  # rows


class Rows:
    """An array that grows at its end.

    Lists of arrays need all of their memory twice when they are stacked. Here the array is
    enlarged in place; the system moves pages, not numbers.

    Args:
        shape: of a row.
        dtype: of its numbers.
    """

    def __init__(self, shape: tuple[int, ...], dtype: DTypeLike) -> None:
        self._held = np.empty((0, *shape), dtype)
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def append(self, row: NDArray) -> None:
        """Add one row."""
        if self._count == len(self._held):
            # Nobody else has a view: ``array`` gives the numbers away and begins anew.
            self._held.resize((self._count + GROWTH, *self._held.shape[1:]), refcheck=False)
        self._held[self._count] = row
        self._count += 1

    def array(self) -> NDArray:
        """All rows. They are given away: none are left here. [N, ...]"""
        held, count = self._held, self._count
        self._held, self._count = np.empty((0, *held.shape[1:]), held.dtype), 0
        held.resize((count, *held.shape[1:]), refcheck=False)
        return held


def taken(array: NDArray, rows: NDArray[np.int64]) -> NDArray:
    """Some rows of an array: a view where they are rows in a row, a copy otherwise."""
    if len(rows) and (np.diff(rows) == 1).all():
        return array[rows[0] : rows[0] + len(rows)]
    return array[rows]
