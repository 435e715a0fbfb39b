"""What of the machine this process may use."""

from __future__ import annotations

import os


def num_available_cpus() -> int:
    """Cores that this process may run on; a container's share can be less than the machine's."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
