"""Footage as safetensors, with and without a header: the one writer and reader of it.

Three kinds of files hold footage under the same array names: samples of shards
(``KEY.footage.safetensors``), single prepared clips, and the references of an actor, which have no
header. `dubfew.data.shards` maps the arrays of the first two into memory instead of reading them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load, save

from dubfew.errors import ArtefactError
from dubfew.references.footage import FOOTAGE_ARRAY_NAMES, Footage
from dubfew.utils.files import write_atomic
from dubfew.utils.format_version import check_format_version
from dubfew.utils.safetensors_io import TENSOR_READ_ERRORS, read_tensors_and_header

FOOTAGE_FORMAT_VERSION = 1
# Key of the header in a file's metadata.
FOOTAGE_METADATA_KEY = "dubfew.footage"


def serialize_footage(footage: Footage, header: Mapping[str, Any] | None = None) -> bytes:
    """Write footage as safetensors, the same bytes for the same footage.

    Args:
        footage: the windows; arrays that lie on the disk are read.
        header: facts to store beside them, JSON values; None for a file without a header.
    """
    arrays = {name: np.ascontiguousarray(getattr(footage, name)) for name in FOOTAGE_ARRAY_NAMES}
    if header is None:
        return save(arrays)
    # One entry of metadata: safetensors puts several in no fixed order.
    text = json.dumps({"format_version": FOOTAGE_FORMAT_VERSION, **header})
    return save(arrays, metadata={FOOTAGE_METADATA_KEY: text})


def deserialize_footage(data: bytes) -> Footage:
    """Read what `serialize_footage` gave; a header is ignored.

    Raises:
        KeyError, TypeError, ValueError, SafetensorError: the bytes are not footage, see
            `dubfew.utils.safetensors_io.TENSOR_READ_ERRORS`.
    """
    return Footage(**load(data))


def save_footage(path: Path, footage: Footage, header: Mapping[str, Any]) -> None:
    """Store prepared footage as a file of its own.

    Args:
        path: the file; written whole or not at all.
        footage: the windows.
        header: facts to store beside them, such as ``file`` and ``license``.
    """
    write_atomic(path, serialize_footage(footage, header))


def load_footage(path: Path) -> tuple[Footage, dict[str, Any]]:
    """Read prepared footage and its header.

    Raises:
        ArtefactError: the file is not prepared footage, or a newer dubfew wrote it.
    """
    try:
        arrays, header = read_tensors_and_header(path.read_bytes(), FOOTAGE_METADATA_KEY)
        # Unknown arrays are ignored: a later version may add some without a new format.
        footage = Footage(**{name: arrays[name] for name in FOOTAGE_ARRAY_NAMES})
        if not isinstance(header, dict):
            raise TypeError("the header is not an object")
    except (OSError, *TENSOR_READ_ERRORS) as error:
        raise ArtefactError(
            f"{path} is not prepared footage: make it with `dubfew prior prepare`"
        ) from error
    check_footage_header(header, str(path))
    return footage, header


def check_footage_header(header: Mapping[str, Any], name: str) -> None:
    """Check the format version in a header; one without a version counts as version 1.

    Args:
        header: header of a file with footage.
        name: what the error calls the file.

    Raises:
        ArtefactError: a newer dubfew wrote the file.
    """
    check_format_version(
        header.get("format_version", 1), FOOTAGE_FORMAT_VERSION, f"the footage {name}"
    )
