"""Reviews: a static page of the shots of a batch with their takes, and its decisions."""

from __future__ import annotations

from dubfew.utils.lazy_exports import lazy_exports

__all__ = ["ReviewResult", "make_review", "mark_timelines"]

__getattr__ = lazy_exports(
    __name__, {"ReviewResult": "make", "make_review": "make", "mark_timelines": "markers"}
)
