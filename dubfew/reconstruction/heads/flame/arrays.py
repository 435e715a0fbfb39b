"""Arrays from ``.npz`` and ``.npy`` files, whose pickled parts are read as in `pickles`."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from dubfew.errors import AssetError
from dubfew.reconstruction.heads.flame.pickles import open_binary, unpickle_arrays


def read_named_arrays(path: Path | str) -> dict[str, Any]:
    """Read an ``.npz``, or the dictionary in an ``.npy``; object arrays as `read_pickle` does.

    Raises:
        AssetError: The file cannot be read, or has another format.
    """
    with open_binary(path) as file:
        if zipfile.is_zipfile(file):
            try:
                with zipfile.ZipFile(file) as archive:
                    names = [n for n in archive.namelist() if n.endswith(".npy")]
                    members = {name[:-4]: archive.read(name) for name in names}
            except (zipfile.BadZipFile, NotImplementedError, RuntimeError, OSError) as error:
                raise AssetError(f"{path} is a damaged .npz ({error}): fetch it again") from error
            return {
                name: _read_npy_stream(io.BytesIO(data), str(path))
                for name, data in members.items()
            }
        file.seek(0)
        value = _read_npy_stream(file, str(path))
    # np.save wraps a dictionary in an array of one object.
    while isinstance(value, np.ndarray) and value.dtype == object and value.size == 1:
        value = value.item()
    if not isinstance(value, dict):
        raise AssetError(f"{path} holds no named arrays: give the file as FLAME's site has it")
    return value


def read_npy(path: Path | str) -> Any:
    """Read the array of an ``.npy``, as `read_named_arrays` does.

    Raises:
        AssetError: The file cannot be read or holds no array.
    """
    with open_binary(path) as file:
        return _read_npy_stream(file, str(path))


def _read_npy_stream(file: BinaryIO, path: str) -> Any:
    try:
        version = np.lib.format.read_magic(file)
        read = {
            (1, 0): np.lib.format.read_array_header_1_0,
            (2, 0): np.lib.format.read_array_header_2_0,
        }[version]
        _, _, dtype = read(file)
        if not dtype.hasobject:
            file.seek(0)
            return np.lib.format.read_array(file, allow_pickle=False)
    except (ValueError, KeyError, OSError, EOFError, MemoryError) as error:
        raise AssetError(f"{path} is no NumPy file ({error}): fetch it again") from error
    return unpickle_arrays(file, path)


def to_float_array(value: Any, name: str, num_dimensions: int) -> NDArray[np.float32]:
    """Convert a value to a numeric array of so many dimensions.

    Args:
        value: array, or sparse matrix.
        name: name of the value, for messages.
        num_dimensions: number of dimensions that it must have.

    Raises:
        AssetError: The value is something else, or not finite.
    """
    if hasattr(value, "toarray"):
        value = value.toarray()
    if (
        not isinstance(value, np.ndarray)
        or value.ndim != num_dimensions
        or value.dtype.kind not in "biuf"
        or not np.isfinite(value).all()
    ):
        raise AssetError(f"{name} is no finite array with {num_dimensions} dimensions")
    return value.astype(np.float32)
