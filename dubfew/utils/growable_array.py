"""Rows of an array that come one by one, without a second copy when they are many."""

from __future__ import annotations

import numpy as np
from numpy.typing import DTypeLike, NDArray

GROWTH_STEP_ROWS = 256  # rows


class GrowableArray:
    """An array that grows at its end.

    Lists of arrays need all of their memory twice when they are stacked. Here the array is
    enlarged in place; the system moves pages, not numbers.

    Args:
        row_shape: of a row.
        dtype: of its numbers.
    """

    def __init__(self, row_shape: tuple[int, ...], dtype: DTypeLike) -> None:
        self._buffer = np.empty((0, *row_shape), dtype)
        self._num_rows = 0

    def __len__(self) -> int:
        return self._num_rows

    def append(self, row: NDArray) -> None:
        """Add one row."""
        if self._num_rows == len(self._buffer):
            # Nobody else has a view: ``array`` gives the numbers away and begins anew.
            self._buffer.resize(
                (self._num_rows + GROWTH_STEP_ROWS, *self._buffer.shape[1:]), refcheck=False
            )
        self._buffer[self._num_rows] = row
        self._num_rows += 1

    def take_array(self) -> NDArray:
        """All rows. They are given away: none are left here. [N, ...]"""
        held, count = self._buffer, self._num_rows
        self._buffer, self._num_rows = np.empty((0, *held.shape[1:]), held.dtype), 0
        held.resize((count, *held.shape[1:]), refcheck=False)
        return held


def take_rows(array: NDArray, rows: NDArray[np.int64]) -> NDArray:
    """Some rows of an array: a view where they are rows in a row, a copy otherwise."""
    if len(rows) and (np.diff(rows) == 1).all():
        return array[rows[0] : rows[0] + len(rows)]
    return array[rows]
