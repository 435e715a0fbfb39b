"""Arrays that were expensive to compute, on disk under what they were computed from."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save

from dubfew.data.mapped_arrays import MappedFile
from dubfew.errors import ArtefactError
from dubfew.utils.files import write_atomic

# Part of every key. A change of what is stored gets a new number, and old files are not found.
CACHE_FORMAT_VERSION = 1
# Hexadecimal digits of a key's hash in the file's name: 128 bits, so that no two keys collide.
_NAME_DIGITS = 32


class StoredArrays:
    """Arrays in one file of a cache; each reading maps the file, copies rows and lets go of it.

    Neither memory nor open files grow with the number of instances that are kept.
    """

    def __init__(self, path: Path) -> None:
        """Find the arrays of a file.

        Args:
            path: a safetensors file, which may not change from now on.

        Raises:
            ArtefactError: The file is gone or damaged.
        """
        self._file = MappedFile(path)
        self._arrays, _ = self._file.read_safetensors(0, path.stat().st_size)
        self._file.unmap()

    def shape(self, name: str) -> tuple[int, ...]:
        """Return the shape of an array, without reading it."""
        return self._arrays[name].shape

    def read(self, name: str, rows: slice = slice(None)) -> NDArray[Any]:
        """Copy rows of an array.

        Args:
            name: name of the array.
            rows: range along the first axis.

        Raises:
            ArtefactError: The file is gone or changed.
        """
        found = np.array(self._arrays[name].array[rows])
        self._file.unmap()
        return found


class ArrayCache:
    """A folder of arrays, each set under the hash of what it was computed from.

    Several processes may share a folder.

    Attributes:
        folder: the folder; made when something is stored.
        num_computed: sets that this object had to compute, because they were not stored.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.num_computed = 0

    def fetch(
        self, key: Mapping[str, Any], compute: Callable[[], Mapping[str, NDArray[Any]]]
    ) -> StoredArrays:
        """Find the arrays of a key, or compute and store them.

        A file that is damaged is computed again.

        Args:
            key: everything that decides the arrays, in JSON's types.
            compute: gives the arrays by name.
        """
        path = self._find_path(key)
        if path.exists():
            try:
                return StoredArrays(path)
            except ArtefactError:
                pass  # cut short by a full disk or the like
        self.num_computed += 1
        arrays = {name: np.ascontiguousarray(array) for name, array in compute().items()}
        write_atomic(path, save(arrays))
        return StoredArrays(path)

    def has(self, key: Mapping[str, Any]) -> bool:
        """Tell whether the arrays of a key are stored."""
        return self._find_path(key).exists()

    def _find_path(self, key: Mapping[str, Any]) -> Path:
        """Return the file of a key."""
        text = json.dumps({"format": CACHE_FORMAT_VERSION, **key}, sort_keys=True)
        name = hashlib.sha256(text.encode()).hexdigest()[:_NAME_DIGITS]
        # Two digits for the folder: hours of film give thousands of files.
        return self.folder / name[:2] / f"{name}.safetensors"


def hash_arrays(*arrays: NDArray[Any]) -> str:
    """Compute the SHA-256 of arrays, their types and shapes included, in hexadecimal."""
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(f"{array.dtype.str} {array.shape}".encode())
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()
