"""Which files are read field by field: a statement that holds for all readers in this process."""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path

from dubfew.media.stated_facts import StatedFacts

# Orders of fields in which files are read field by field.
_orders: StatedFacts[int] = StatedFacts()


def stated_fields(path: Path, order: int) -> AbstractContextManager[None]:
    """Have all readers of a file in this process read its fields, for as long as this lasts.

    Args:
        path: a video file.
        order: order of its fields, from `find_field_order`; 0 states nothing.
    """
    return _orders.state(path, order or None)


def find_stated_order(path: Path) -> int:
    """Return the order in which fields of a file are read now; 0 if it is read frame by frame."""
    return _orders.find(path) or 0
