"""Number of processors that this process may use."""

from __future__ import annotations

import os


def num_available_cpus() -> int:
    """Count the cores that this process may run on.

    Returns:
        The number of cores, at least 1. In a container it can be smaller than the machine's.
    """
    if hasattr(os, "sched_getaffinity"):  # macOS and Windows do not have it
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
