"""Arrays that stay on the disk: views of mapped files, and several of them as one."""

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

_SAFETENSORS_DTYPES = {
    "U8": np.uint8,
    "I16": np.int16,
    "I64": np.int64,
    "F16": np.float16,
    "F32": np.float32,
    "F64": np.float64,
    "BOOL": np.bool_,
}
_MAX_HEADER_BYTES = 1 << 24


class MappedFile:
    """A file mapped into memory when it is first looked at; another process maps it anew."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._stamp = self._read_stamp()
        self._content: NDArray[np.uint8] | None = None

    def _read_stamp(self) -> tuple[int, int]:
        try:
            found = os.stat(self.path)
        except OSError as error:
            raise ArtefactError(f"{self.path} is gone: prepare the data again") from error
        return found.st_size, found.st_mtime_ns

    @property
    def mapped_bytes(self) -> NDArray[np.uint8]:
        """The file's bytes."""
        if self._content is None:
            if self._read_stamp() != self._stamp:
                raise ArtefactError(f"{self.path} changed while it was in use: start again")
            if not self._stamp[0]:
                raise ArtefactError(f"{self.path} is empty: prepare the data again")
            # Copy on write rather than read-only, of which torch warns; nothing is ever written.
            self._content = np.asarray(np.memmap(self.path, np.uint8, mode="c"))
        return self._content

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_content": None}

    def read_safetensors(
        self, offset: int, size: int
    ) -> tuple[dict[str, MappedArray], dict[str, str]]:
        """Arrays and metadata of a safetensors file that lies within this one.

        Raises:
            ArtefactError: there is none.
        """
        data = self.mapped_bytes[offset : offset + size]
        try:
            length = int.from_bytes(data[:8].tobytes(), "little")
            if not 2 <= length <= min(_MAX_HEADER_BYTES, len(data) - 8):
                raise ValueError("no header")
            header = json.loads(data[8 : 8 + length].tobytes())
            metadata = header.pop("__metadata__", {})
            found = {}
            for name, entry in header.items():
                start, stop = entry["data_offsets"]
                shape, kind = tuple(entry["shape"]), np.dtype(_SAFETENSORS_DTYPES[entry["dtype"]])
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
        self.file = file
        self.offset = offset
        self.shape = shape
        self.dtype = dtype

    @property
    def array(self) -> NDArray[Any]:
        """A view of the file. Alignment does not matter to NumPy."""
        count = math.prod(self.shape)
        stop = self.offset + count * self.dtype.itemsize
        return self.file.mapped_bytes[self.offset : stop].view(self.dtype).reshape(self.shape)


class ConcatenatedArray:
    """Stored arrays joined along their first axis and read only where they are looked at.

    Behaves as the part of ``ndarray`` that footage is used by: shape, length, rows by number,
    slice or list, each with further indices, and ``np.asarray`` for the whole.
    """

    def __init__(self, parts: Sequence[MappedArray]) -> None:
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
        rows = np.arange(len(self))[first]
        if rows.ndim == 0:
            part = int(np.searchsorted(self._ends, rows, "right"))
            found = self._parts[part].array[int(rows - self._starts[part])]
        else:
            found = self._gather_rows(rows.reshape(-1)).reshape(*rows.shape, *self.shape[1:])
        return found[(slice(None),) * rows.ndim + tuple(rest)]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        return self[:].astype(dtype or self.dtype, copy=False)

    def _gather_rows(self, rows: NDArray[np.int64]) -> NDArray[Any]:
        found = np.empty((len(rows), *self.shape[1:]), self.dtype)
        owner = np.searchsorted(self._ends, rows, "right")
        for part in np.unique(owner):
            mine = owner == part
            found[mine] = self._parts[part].array[rows[mine] - self._starts[part]]
        return found
