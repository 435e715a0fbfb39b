"""Reader of models in CTranslate2's file format (``model.bin``), without that library.

All numbers are little endian. ``u8``, ``u16`` and ``u32`` are unsigned; a text is its length with
the closing zero (u16), then its bytes.

    version u32 | name of the model's kind, text | revision u32 | number of variables u32
    per variable: name, text | rank u8 | sizes u32 each | type u8 | number of bytes u32 | values
    number of aliases u32 | per alias: its name, text | name of the variable, text
"""

from __future__ import annotations

import math
import os
import struct
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

# Versions of the format that are laid out as above. Before 4 a variable had the size of its items
# instead of their type.
SUPPORTED_CTRANSLATE2_VERSIONS = range(4, 7)
# NumPy types by CTranslate2's number of the type. Its number 5, bfloat16, has none.
_ITEM_TYPES = {0: "<f4", 1: "|i1", 2: "<i2", 3: "<i4", 4: "<f2"}
# Most dimensions that a variable may have; the largest real ones are convolutions, with 3.
_MAX_RANK = 8


def read_ctranslate2(path: Path, kind: str, prefix: str = "") -> dict[str, NDArray]:
    """Read variables of a CTranslate2 model; the values of all others are skipped.

    Args:
        path: ``model.bin`` of a converted model.
        kind: name of the model's kind, such as ``WhisperSpec``.
        prefix: beginning of the names of the variables that are read.

    Returns:
        Arrays by name without the prefix, in the types of the file. An alias is read as the
        variable that it stands for.

    Raises:
        OSError: The file cannot be read.
        ValueError: The file is another one, is damaged, or a variable is of a type that NumPy does
            not have. The message says what was found.
    """
    with path.open("rb") as file:
        file_bytes = os.fstat(file.fileno()).st_size
        version = _read_number(file, "I")
        if version not in SUPPORTED_CTRANSLATE2_VERSIONS:
            first, last = SUPPORTED_CTRANSLATE2_VERSIONS[0], SUPPORTED_CTRANSLATE2_VERSIONS[-1]
            raise ValueError(f"its version is {version}, expected {first} to {last}")
        found_kind = _read_text(file)
        if found_kind != kind:
            raise ValueError(f"it holds a {found_kind[:40]!a}, expected {kind}")
        _read_number(file, "I")  # the kind's revision: what it changes shows in the names
        variables = {}
        for _ in range(_read_number(file, "I")):
            name = _read_text(file)
            values = _read_values(file, name, file_bytes, skip=not name.startswith(prefix))
            if values is not None:
                variables[name] = values
        # Equal variables are stored once.
        for _ in range(_read_number(file, "I")):
            alias, name = _read_text(file), _read_text(file)
            if name in variables and alias.startswith(prefix):
                variables[alias] = variables[name]
    return {name.removeprefix(prefix): values for name, values in variables.items()}


def _read_values(file: BinaryIO, name: str, file_bytes: int, *, skip: bool) -> NDArray | None:
    """Read a variable behind its name, or step over it and return None."""
    rank = _read_number(file, "B")
    if rank > _MAX_RANK:
        raise ValueError(f"{name[:80]!a} has {rank} dimensions")
    shape = tuple(_read_number(file, "I") for _ in range(rank))
    item_type, num_bytes = _read_number(file, "B"), _read_number(file, "I")
    # The length is checked before that much memory is asked for.
    if num_bytes > file_bytes - file.tell():
        raise ValueError(f"it ends within {name[:80]!a}")
    if skip:
        file.seek(num_bytes, os.SEEK_CUR)
        return None
    if item_type not in _ITEM_TYPES:
        raise ValueError(f"{name[:80]!a} is of the unknown type {item_type}")
    dtype = np.dtype(_ITEM_TYPES[item_type])
    if math.prod(shape) * dtype.itemsize != num_bytes:
        raise ValueError(f"{name[:80]!a} has {num_bytes} bytes for the shape {shape}")
    return np.frombuffer(file.read(num_bytes), dtype).reshape(shape)


def _read_number(file: BinaryIO, code: str) -> int:
    """Read an unsigned number; the code is that of `struct`."""
    return int(struct.unpack(f"<{code}", _read_bytes(file, struct.calcsize(code)))[0])


def _read_text(file: BinaryIO) -> str:
    data = _read_bytes(file, _read_number(file, "H"))
    try:
        return data.rstrip(b"\0").decode("utf-8")
    except UnicodeDecodeError as error:
        raise ValueError("it has names that are no text") from error


def _read_bytes(file: BinaryIO, count: int) -> bytes:
    data = file.read(count)
    if len(data) < count:
        raise ValueError("it is cut off")
    return data
