"""Safetensors files with a JSON header under a key of dubfew's own."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import load

# Errors of reading bytes that are not such a file, or are damaged. Callers turn them into an
# error that names the file and the remedy.
TENSOR_READ_ERRORS = (KeyError, TypeError, ValueError, SafetensorError)


def read_tensors_and_header(
    data: bytes, metadata_key: str
) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Read tensors and header from the bytes of a file.

    Args:
        data: a whole safetensors file.
        metadata_key: key of the header among the file's metadata, such as ``"dubfew.track"``.

    Returns:
        Arrays by name, and the parsed header.

    Raises:
        KeyError, TypeError, ValueError, SafetensorError: the bytes are not such a file, see
            ``TENSOR_READ_ERRORS``.
    """
    tensors = load(data)
    # The format: 8 bytes length, then a JSON header of that length.
    start = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
    return tensors, json.loads(start["__metadata__"][metadata_key])


def read_header(path: Path | str, metadata_key: str) -> dict[str, Any]:
    """Read the header of a file without its tensors.

    Args:
        path: a safetensors file.
        metadata_key: key of the header among the file's metadata.

    Raises:
        OSError: the file cannot be read.
        KeyError, TypeError, ValueError, SafetensorError: it is not such a file, see
            ``TENSOR_READ_ERRORS``.
    """
    with safe_open(str(path), framework="numpy") as file:
        return json.loads((file.metadata() or {})[metadata_key])
