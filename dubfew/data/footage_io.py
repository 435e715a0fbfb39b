"""Prepared footage as bytes, and one clip of it as a file of its own."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from dubfew.errors import ArtefactError
from dubfew.references.footage import Footage
from dubfew.utils.files import write_atomic

FOOTAGE_FORMAT_VERSION = 1
FOOTAGE_ARRAY_NAMES = ("images", "vertices", "hulls", "key", "motion", "frames")


def serialize_footage(footage: Footage, header: Mapping[str, Any]) -> bytes:
    """Footage as safetensors, the same bytes for the same footage."""
    arrays = {name: np.ascontiguousarray(getattr(footage, name)) for name in FOOTAGE_ARRAY_NAMES}
    # One entry of metadata: safetensors puts several in no fixed order.
    text = json.dumps({"format_version": FOOTAGE_FORMAT_VERSION, **header})
    return save(arrays, metadata={"dubfew.footage": text})


def save_footage(path: Path, footage: Footage, header: Mapping[str, Any]) -> None:
    """Store prepared footage."""
    write_atomic(path, serialize_footage(footage, header))


def load_footage(path: Path) -> tuple[Footage, dict[str, Any]]:
    """Read prepared footage and its header.

    Raises:
        ArtefactError: not prepared footage.
    """
    try:
        with safe_open(str(path), framework="numpy") as file:
            header = json.loads((file.metadata() or {})["dubfew.footage"])
            footage = Footage(**{name: file.get_tensor(name) for name in FOOTAGE_ARRAY_NAMES})
    except (OSError, KeyError, ValueError, SafetensorError) as error:
        raise ArtefactError(
            f"{path} is not prepared footage: make it with `dubfew prior prepare`"
        ) from error
    return footage, header
