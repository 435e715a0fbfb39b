"""Which files are read field by field: a statement that holds for all readers in this process."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

# Orders of fields in which files are read field by field, by their absolute paths.
_stated: dict[Path, int] = {}


@contextmanager
def stated_fields(path: Path, order: int) -> Iterator[None]:
    """Have all readers of a file in this process read its fields, for as long as this lasts.

    Args:
        path: a video file.
        order: order of its fields, from `find_field_order`; 0 states nothing.
    """
    key = path.resolve()
    before = _stated.get(key)
    if order:
        _stated[key] = order
    try:
        yield
    finally:
        if before is not None:
            _stated[key] = before
        else:
            _stated.pop(key, None)


def find_stated_order(path: Path) -> int:
    """Return the order in which fields of a file are read now; 0 if it is read frame by frame."""
    return _stated.get(path.resolve(), 0)
