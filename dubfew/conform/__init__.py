"""Timelines: shots that have lines are rendered, all others stay, and a new timeline says so."""

from __future__ import annotations

from dubfew.utils.lazy_exports import lazy_exports

__all__ = ["ConformOptions", "ConformPlan", "ConformResult", "conform_timeline", "read_lines"]

__getattr__ = lazy_exports(
    __name__,
    {
        "ConformOptions": "options",
        "ConformPlan": "plan",
        "ConformResult": "run",
        "conform_timeline": "run",
        "read_lines": "lines",
    },
)
