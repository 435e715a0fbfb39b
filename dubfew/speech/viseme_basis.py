"""The viseme basis that ships: displacement of the lower face per unit of each mouth control."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

from safetensors.numpy import load_file, save

from dubfew.utils.arrays import FloatArray
from dubfew.utils.files import write_atomic


def load_viseme_basis() -> FloatArray:
    """Load the viseme basis that ships with dubfew. [5, P, 3]"""
    path = files("dubfew.speech") / "weights" / "fields.safetensors"
    return load_file(str(path))["fields"]


def save_viseme_basis(basis: FloatArray, path: Path | str) -> None:
    """Write a viseme basis, atomically.

    Args:
        basis: output of `fit_viseme_basis`. [5, P, 3]
        path: a .safetensors file.
    """
    write_atomic(Path(path), save({"fields": basis}))
