"""The controls' fields: how the lower face goes along with them (`visemes.learn_fields`)."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

from safetensors.numpy import load_file, save

from dubfew.utils.arrays import FloatArray
from dubfew.utils.files import write_atomic


def load_viseme_basis() -> FloatArray:
    """The controls' fields that ship with dubfew. [5, P, 3]"""
    path = files("dubfew.speech") / "weights" / "fields.safetensors"
    return load_file(str(path))["fields"]


def save_viseme_basis(basis: FloatArray, path: Path | str) -> None:
    """Write the controls' fields beside the model."""
    write_atomic(Path(path), save({"fields": basis}))
