"""Threads of torch beside the threads of a pipeline."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from dubfew.utils.cpu import num_available_cpus


@contextmanager
def share_cores() -> Iterator[int]:
    """Have torch compute with half of the cores inside of the ``with`` block.

    In a pipeline the network is one stage of several that work at once, each in its thread:
    decoding, preparation, compositing and encoding take the other half. With all cores torch would
    take an eighth more processor time, to wait for cores that others use (`docs/performance.md`).

    A number of threads that is not torch's default stands, such as one that the user has set.

    Yields:
        The number of threads of torch in threads that start inside of the block.
    """
    import torch  # here, so that this module is light

    usual, shared = torch.get_num_threads(), count_shared_threads()
    if shared == usual:
        yield usual
        return
    torch.set_num_threads(shared)
    try:
        yield shared
    finally:
        torch.set_num_threads(usual)


def count_shared_threads() -> int:
    """Count the threads that a network has inside of `share_cores`."""
    import torch

    usual, cores = torch.get_num_threads(), num_available_cpus()
    return usual if usual != cores else max(1, cores // 2)
