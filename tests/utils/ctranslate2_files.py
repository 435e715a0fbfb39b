"""Files in CTranslate2's format, written as its converter writes them."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

TYPE_NUMBERS = {"float32": 0, "int8": 1, "int16": 2, "int32": 3, "float16": 4}


def write_ctranslate2(
    path: Path,
    variables: Mapping[str, NDArray],
    *,
    kind: str = "WhisperSpec",
    version: int = 6,
    aliases: Mapping[str, str] | None = None,
) -> Path:
    """Write a model of these variables."""
    parts = [struct.pack("<I", version), _text(kind), struct.pack("<II", 3, len(variables))]
    for name, values in variables.items():
        values = np.asarray(values)
        parts += [_text(name), struct.pack(f"<B{values.ndim}I", values.ndim, *values.shape)]
        parts += [struct.pack("<BI", TYPE_NUMBERS[str(values.dtype)], values.nbytes)]
        parts += [values.tobytes()]
    parts.append(struct.pack("<I", len(aliases or {})))
    for alias, name in (aliases or {}).items():
        parts += [_text(alias), _text(name)]
    path.write_bytes(b"".join(parts))
    return path


def _text(text: str) -> bytes:
    data = text.encode() + b"\0"
    return struct.pack("<H", len(data)) + data
