"""An array that grows row by row in little memory, and work on its rows block by block.

A long array lies in a temporary file that is mapped into memory. The operating system reads pages
of it as they are used, and can take them back at any time, so that it costs disk instead of memory.
"""

from __future__ import annotations

import mmap
import tempfile
from collections.abc import Callable
from typing import BinaryIO

import numpy as np
from numpy.typing import DTypeLike, NDArray

# Rows by which a full array is enlarged. More rows mean fewer moves of the array and more memory
# that is reserved too early; 256 frames are about 10 s of video.
GROWTH_STEP_ROWS = 256
# Size from which an array goes to a file, bytes. Landmarks of shorter clips than two minutes stay
# in memory; below this size the program itself takes far more.
IN_MEMORY_BYTES = 16 * 2**20
# Rows that `map_row_blocks` works on at a time: what is made of 256 frames' landmarks is some MB.
BLOCK_ROWS = 256


class GrowableArray:
    """An array to which rows are appended.

    Stacking a list of arrays needs twice their memory. This array is enlarged in place instead:
    the operating system moves pages, and no numbers are copied. From `IN_MEMORY_BYTES` on the rows
    go to a temporary file without a name, which ends with the last array that shows it.

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
        self._num_rows = 0  # in the buffer
        self._file: BinaryIO | None = None
        self._num_filed_rows = 0

    def __len__(self) -> int:
        return self._num_filed_rows + self._num_rows

    def append(self, row: NDArray) -> None:
        """Append one row.

        Args:
            row: numbers of the array's row shape; they are copied.
        """
        if self._num_rows == len(self._buffer):
            self._make_room()
        self._buffer[self._num_rows] = row
        self._num_rows += 1

    def _make_room(self) -> None:
        """Enlarge a full buffer, or empty it into the file."""
        if self._file is None and self._buffer.nbytes >= IN_MEMORY_BYTES:
            self._file = _open_temporary_file()
        if self._file is not None:
            self._write_buffer(self._file)
            return
        # Safe without a check for other references: the buffer leaves this object only through
        # take_array, which replaces it.
        self._buffer.resize(
            (self._num_rows + GROWTH_STEP_ROWS, *self._buffer.shape[1:]), refcheck=False
        )

    def _write_buffer(self, file: BinaryIO) -> None:
        """Append the buffer's rows to the file, and keep room for a few."""
        file.write(self._buffer[: self._num_rows].data)
        self._num_filed_rows += self._num_rows
        self._num_rows = 0
        if len(self._buffer) > GROWTH_STEP_ROWS:
            self._buffer.resize((GROWTH_STEP_ROWS, *self._buffer.shape[1:]), refcheck=False)

    def take_array(self) -> NDArray:  # [N, ...]
        """Return all rows as one array and empty this object.

        Returns:
            The rows in the order of appending; the caller owns them, and may change them. [N, ...]
        """
        if self._file is not None:
            return self._take_mapped_array(self._file)
        buffer, count = self._buffer, self._num_rows
        self._buffer, self._num_rows = np.empty((0, *buffer.shape[1:]), buffer.dtype), 0
        buffer.resize((count, *buffer.shape[1:]), refcheck=False)
        return buffer

    def _take_mapped_array(self, file: BinaryIO) -> NDArray:
        """Return the rows of the file as an array that shows it, and empty this object."""
        self._write_buffer(file)
        row_shape, dtype = self._buffer.shape[1:], self._buffer.dtype
        shape = (self._num_filed_rows, *row_shape)
        file.flush()
        # The mapping holds the file after it is closed here.
        with file:
            mapped = mmap.mmap(file.fileno(), 0)
        self._buffer, self._file, self._num_filed_rows = np.empty((0, *row_shape), dtype), None, 0
        return np.frombuffer(mapped, dtype).reshape(shape)


def _open_temporary_file() -> BinaryIO | None:
    """Open a file without a name; None where no temporary folder can be written to."""
    try:
        return tempfile.TemporaryFile(prefix="dubfew-rows-")  # open for as long as rows come
    except OSError:
        # A container whose file system is read-only: memory holds the rows, as it holds short ones.
        return None


def release_pages(array: NDArray) -> None:
    """Give back the memory of an array that shows a file; its values stay in the file.

    Nothing happens to an array in memory, and on systems that cannot be told so.

    Args:
        array: any array, or a view of it.
    """
    base: object = array
    while isinstance(base, np.ndarray):
        base = base.base
    if isinstance(base, memoryview):
        base = base.obj
    if isinstance(base, mmap.mmap) and hasattr(base, "madvise"):
        base.madvise(mmap.MADV_DONTNEED)


def map_row_blocks(
    function: Callable[..., NDArray],
    *arrays: NDArray,  # [N, ...] each
) -> NDArray:  # [N, ...]
    """Compute something of each row, some rows at a time, so that memory does not grow with them.

    Args:
        function: rows [M, ...] of each array -> a value of each row. [M, ...]
        *arrays: arrays of N rows; those that show a file are given back to it block by block.

    Returns:
        The values of all rows. [N, ...]

    Example:
        >>> map_row_blocks(lambda rows: rows.sum(1), np.ones((300, 2))).shape
        (300,)
    """
    result: NDArray | None = None
    # One empty block of an empty array tells the shape of the result.
    for start in range(0, max(1, len(arrays[0])), BLOCK_ROWS):
        rows = slice(start, start + BLOCK_ROWS)
        part = function(*(array[rows] for array in arrays))
        if result is None:  # filled in place: joining parts would take their memory twice
            result = np.empty((len(arrays[0]), *part.shape[1:]), part.dtype)
        result[rows] = part
        for array in arrays:
            release_pages(array)
    assert result is not None  # there is a block of everything
    return result


def take_rows(
    array: NDArray,  # [N, ...]
    rows: NDArray[np.int64],  # [M]
) -> NDArray:  # [M, ...]
    """Select rows of an array, without a copy if they are consecutive.

    Args:
        array: any array. [N, ...]
        rows: indices of rows, from the end where they are negative. [M]

    Returns:
        A view of ``array`` if each index is one more than the one before it, else a copy, which
        lies in a file where it is large. [M, ...]

    Example:
        >>> array = np.arange(5)
        >>> np.shares_memory(take_rows(array, np.array([1, 2])), array)
        True
        >>> take_rows(array, np.array([3, 1])).tolist()
        [3, 1]
    """
    if len(rows) and rows[0] >= 0 and (np.diff(rows) == 1).all():
        return array[rows[0] : rows[0] + len(rows)]
    copy = GrowableArray(array.shape[1:], array.dtype)
    for index, row in enumerate(rows):
        copy.append(array[row])
        if index % BLOCK_ROWS == 0:
            release_pages(array)
    return copy.take_array()
