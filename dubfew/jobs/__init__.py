"""Work described as data: what a server, a page or a batch stores, and what runs it.

Importing this package imports nothing heavy.
"""

from __future__ import annotations

from dubfew.utils.lazy_exports import lazy_exports

__all__ = ["JobDescription", "JobStore", "SceneSegment", "WorkerPool", "run_job"]

__getattr__ = lazy_exports(
    __name__,
    {
        "JobDescription": "description",
        "JobStore": "store",
        "SceneSegment": "description",
        "WorkerPool": "pool",
        "run_job": "running",
    },
)
