"""An array that grows row by row without a second copy, and selection of rows without copies."""

from __future__ import annotations

import numpy as np
from numpy.typing import DTypeLike, NDArray

# Rows by which a full array is enlarged. More rows mean fewer moves of the array and more memory
# that is reserved too early; 256 frames are about 10 s of video.
GROWTH_STEP_ROWS = 256


class GrowableArray:
    """An array to which rows are appended.

    Stacking a list of arrays needs twice their memory. This array is enlarged in place instead:
    the operating system moves pages, and no numbers are copied.

    Args:
        row_shape: shape of one row.
        dtype: type of the numbers.

    Example:
        >>> rows = GrowableArray((2,), np.float32)
        >>> rows.append(np.array([1, 2], np.float32))
        >>> len(rows), rows.take_array().tolist()
        (1, [[1.0, 2.0]])
    """

    def __init__(self, row_shape: tuple[int, ...], dtype: DTypeLike) -> None:
        self._buffer = np.empty((0, *row_shape), dtype)
        self._num_rows = 0

    def __len__(self) -> int:
        return self._num_rows

    def append(self, row: NDArray) -> None:
        """Append one row.

        Args:
            row: numbers of the array's row shape; they are copied.
        """
        if self._num_rows == len(self._buffer):
            # Safe without a check for other references: the buffer leaves this object only through
            # take_array, which replaces it.
            self._buffer.resize(
                (self._num_rows + GROWTH_STEP_ROWS, *self._buffer.shape[1:]), refcheck=False
            )
        self._buffer[self._num_rows] = row
        self._num_rows += 1

    def take_array(self) -> NDArray:  # [N, ...]
        """Return all rows as one array and empty this object.

        Returns:
            The rows in the order of appending; the caller owns them. [N, ...]
        """
        buffer, count = self._buffer, self._num_rows
        self._buffer, self._num_rows = np.empty((0, *buffer.shape[1:]), buffer.dtype), 0
        buffer.resize((count, *buffer.shape[1:]), refcheck=False)
        return buffer


def take_rows(
    array: NDArray,  # [N, ...]
    rows: NDArray[np.int64],  # [M]
) -> NDArray:  # [M, ...]
    """Select rows of an array, without a copy if they are consecutive.

    Args:
        array: any array. [N, ...]
        rows: indices of rows. [M]

    Returns:
        A view of ``array`` if each index is one more than the one before it, else a copy. [M, ...]

    Example:
        >>> array = np.arange(5)
        >>> np.shares_memory(take_rows(array, np.array([1, 2])), array)
        True
        >>> take_rows(array, np.array([3, 1])).tolist()
        [3, 1]
    """
    if len(rows) and (np.diff(rows) == 1).all():
        return array[rows[0] : rows[0] + len(rows)]
    return array[rows]
