"""Many jobs from one table: checked whole before any work, resumable, a failure alone."""

from __future__ import annotations

from dubfew.utils.lazy_exports import lazy_exports

__all__ = ["BatchOptions", "BatchResult", "BatchRow", "read_table", "run_batch"]

__getattr__ = lazy_exports(
    __name__,
    {
        "BatchOptions": "options",
        "BatchResult": "run",
        "BatchRow": "table",
        "read_table": "table",
        "run_batch": "run",
    },
)
