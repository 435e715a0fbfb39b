"""Shapes of pixels that files state wrongly: a statement holds for all readers of this process.

Material of 4:3 that is flagged as 16:9, and the other way round, is common.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path

# What was stated for files, by their absolute paths.
_stated: dict[Path, Fraction] = {}


@contextmanager
def stated_aspect(path: Path, aspect: Fraction) -> Iterator[None]:
    """State the shape of a file's pixels for as long as this lasts.

    Args:
        path: a video file.
        aspect: width of a pixel over its height, after rotation.
    """
    key = path.resolve()
    before = _stated.get(key)
    _stated[key] = aspect
    try:
        yield
    finally:
        if before is not None:
            _stated[key] = before
        else:
            _stated.pop(key, None)


def find_stated_aspect(path: Path) -> Fraction | None:
    """Return the shape of pixels that was stated for a file, or None."""
    return _stated.get(path.resolve())
