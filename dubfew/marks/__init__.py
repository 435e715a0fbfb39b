"""Machine-readable marks on every output: Content Credentials and an invisible watermark.

``verify_marks`` reads both. See docs/marks.md.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dubfew.marks.verification import MarksReport, verify_marks

__all__ = ["MarksReport", "verify_marks"]


def __getattr__(name: str) -> Any:
    # The painter needs the watermark alone, and not the tracker that finds it.
    if name in __all__:
        return getattr(importlib.import_module("dubfew.marks.verification"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
