"""Tensors with a JSON header, as safetensors keeps them."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load

# What reading may raise where the bytes are something else, or damaged.
TENSOR_READ_ERRORS = (KeyError, TypeError, ValueError, SafetensorError)


def read_tensors_and_header(
    data: bytes, metadata_key: str
) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Tensors and the header that is kept with them under a name.

    Raises:
        One of ``TENSOR_READ_ERRORS``: the bytes hold no such thing.
    """
    tensors = load(data)
    # The format: 8 bytes length, then a JSON header of that length.
    start = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
    return tensors, json.loads(start["__metadata__"][metadata_key])
