"""Results of the library as values that JSON has."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any


def to_jsonable(value: Any) -> Any:
    """Convert a value to types that JSON has.

    Args:
        value: dataclass, mapping, sequence, number, path or fraction, nested at will. Fields whose
            names begin with an underscore are left out.

    Returns:
        Dictionaries, lists, texts and numbers. NaN and infinity, which JSON does not have, become
        None.

    Example:
        >>> import math
        >>> from fractions import Fraction
        >>> to_jsonable({"fps": Fraction(30000, 1001), "psnr": math.inf})
        {'fps': '30000/1001', 'psnr': None}
    """
    if value is None or type(value) in (str, int, bool):  # first, because listings have many
        return value
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {
            field.name: to_jsonable(getattr(value, field.name))
            for field in dataclasses.fields(value)
            if not field.name.startswith("_")
        }
    if isinstance(value, Mapping):
        return {str(key): to_jsonable(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [to_jsonable(item) for item in value]
    if isinstance(value, Path | Fraction):
        return str(value)
    if hasattr(value, "item"):  # number of numpy or torch
        return to_jsonable(value.item())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
