"""Arrays that stay on the disk: parts of mapped files, and several of them as one array."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dubfew.errors import ArtefactError

# Element types by their names in safetensors files; only those that dubfew writes.
_SAFETENSORS_DTYPES = {
    "U8": np.uint8,
    "I16": np.int16,
    "I64": np.int64,
    "F16": np.float16,
    "F32": np.float32,
    "F64": np.float64,
    "BOOL": np.bool_,
}
# Longest header of a safetensors file that is read. Ours take under 1 kB; a damaged length must not
# make gigabytes be parsed as JSON.
_MAX_HEADER_BYTES = 1 << 24


class MappedFile:
    """A file that is mapped into memory when it is first read.

    May be sent to another process, which maps the file anew.
    """

    def __init__(self, path: Path) -> None:
        """Remember size and time of a file; nothing is read yet.

        Args:
            path: the file, which may not change from now on.

        Raises:
            ArtefactError: The file does not exist.
        """
        self.path = path
        self._stamp = self._read_stamp()
        self._content: NDArray[np.uint8] | None = None

    def _read_stamp(self) -> tuple[int, int]:
        """Return size and time of the last change, which tell whether a file was replaced."""
        try:
            found = os.stat(self.path)
        except OSError as error:
            raise ArtefactError(f"{self.path} is gone: prepare the data again") from error
        return found.st_size, found.st_mtime_ns

    @property
    def mapped_bytes(self) -> NDArray[np.uint8]:
        """Return the bytes of the file, mapped.

        Raises:
            ArtefactError: The file is gone, is empty, or changed since it was opened.
        """
        if self._content is None:
            if self._read_stamp() != self._stamp:
                raise ArtefactError(f"{self.path} changed while it was in use: start again")
            if not self._stamp[0]:
                raise ArtefactError(f"{self.path} is empty: prepare the data again")
            # Copy on write rather than read-only, of which torch warns; nothing is ever written.
            self._content = np.asarray(np.memmap(self.path, np.uint8, mode="c"))
        return self._content

    def unmap(self) -> None:
        """Let go of the mapped bytes; the next reading maps the file again."""
        self._content = None

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_content": None}

    def read_safetensors(
        self, offset: int, size: int
    ) -> tuple[dict[str, MappedArray], dict[str, str]]:
        """Find the arrays of a safetensors file that lies within this file.

        Args:
            offset: first byte of the safetensors file.
            size: its length, bytes.

        Returns:
            Arrays by name, not read yet, and the metadata.

        Raises:
            ArtefactError: The bytes are not a safetensors file.
        """
        data = self.mapped_bytes[offset : offset + size]
        try:
            # The format: 8 bytes length, a JSON header of that length, then the arrays.
            length = int.from_bytes(data[:8].tobytes(), "little")
            if not 2 <= length <= min(_MAX_HEADER_BYTES, len(data) - 8):
                raise ValueError("no header")
            header = json.loads(data[8 : 8 + length].tobytes())
            metadata = header.pop("__metadata__", {})
            found = {}
            for name, entry in header.items():
                start, stop = entry["data_offsets"]
                shape, kind = tuple(entry["shape"]), np.dtype(_SAFETENSORS_DTYPES[entry["dtype"]])
                # The views below trust these numbers: an array may not reach beyond its file.
                if (
                    not all(type(n) is int and n >= 0 for n in (start, stop, *shape))
                    or stop > len(data) - 8 - length
                    or stop - start != math.prod(shape) * kind.itemsize
                ):
                    raise ValueError(f"{name} lies outside")
                found[name] = MappedArray(self, offset + 8 + length + start, shape, kind)
        except (AttributeError, KeyError, RecursionError, TypeError, ValueError) as error:
            raise ArtefactError(
                f"{self.path} holds no safetensors at byte {offset} ({error}): prepare the data "
                "again"
            ) from error
        return found, metadata


class MappedArray:
    """One array within a mapped file."""

    def __init__(
        self, file: MappedFile, offset: int, shape: tuple[int, ...], dtype: np.dtype[Any]
    ) -> None:
        """Describe an array; nothing is read yet.

        Args:
            file: the file that holds it.
            offset: its first byte in the file.
            shape: its shape.
            dtype: type of its elements.
        """
        self.file = file
        self.offset = offset
        self.shape = shape
        self.dtype = dtype

    @property
    def array(self) -> NDArray[Any]:
        """Return a view of the file. Its alignment does not matter to NumPy."""
        count = math.prod(self.shape)
        stop = self.offset + count * self.dtype.itemsize
        return self.file.mapped_bytes[self.offset : stop].view(self.dtype).reshape(self.shape)


class ConcatenatedArray:
    """Mapped arrays joined along their first axis; only rows that are indexed are read.

    Behaves as the part of ``ndarray`` that footage is used by: shape, length, rows by number,
    slice or list, each with further indices, and ``np.asarray`` for the whole.
    """

    def __init__(self, parts: Sequence[MappedArray]) -> None:
        """Join arrays.

        Args:
            parts: at least one array; all of the same type and shape but for the first axis.

        Raises:
            ArtefactError: The arrays differ in type or shape.
        """
        if len({(part.shape[1:], part.dtype) for part in parts}) != 1:
            raise ArtefactError(
                f"the parts of a clip in {parts[0].file.path} differ in shape: prepare it again"
            )
        self._parts = list(parts)
        lengths = [part.shape[0] for part in parts]
        self._ends = np.cumsum(lengths)
        self._starts = self._ends - lengths
        self.shape = (int(self._ends[-1]), *parts[0].shape[1:])
        self.dtype = parts[0].dtype
        self.ndim = len(self.shape)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, index: Any) -> NDArray[Any]:
        first, *rest = index if isinstance(index, tuple) else (index,)
        # NumPy itself turns any kind of index into row numbers.
        rows = np.arange(len(self))[first]
        # A single row is a view of the file, several rows are a copy.
        if rows.ndim == 0:
            part = int(np.searchsorted(self._ends, rows, "right"))
            found = self._parts[part].array[int(rows - self._starts[part])]
        else:
            found = self._gather_rows(rows.reshape(-1)).reshape(*rows.shape, *self.shape[1:])
        # Further indices apply to the axes behind the rows'.
        return found[(slice(None),) * rows.ndim + tuple(rest)]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        return self[:].astype(dtype or self.dtype, copy=False)

    def _gather_rows(self, rows: NDArray[np.int64]) -> NDArray[Any]:
        """Copy rows [N] of any parts, each part in one go. [N, ...]"""
        found = np.empty((len(rows), *self.shape[1:]), self.dtype)
        owner = np.searchsorted(self._ends, rows, "right")
        for part in np.unique(owner):
            in_part = owner == part
            found[in_part] = self._parts[part].array[rows[in_part] - self._starts[part]]
        return found
