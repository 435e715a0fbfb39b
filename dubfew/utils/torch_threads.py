"""Threads of torch beside the threads of a pipeline."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

from dubfew.utils.cpu import num_available_cpus

Item = TypeVar("Item")
Result = TypeVar("Result")


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


def map_in_threads(
    function: Callable[[Item], Result], items: Iterable[Item], most: int = 4
) -> Generator[Result, None, None]:
    """Compute a function of every item, of several at once, with the cores that torch has.

    For work that is in part Python's and in part that of small operators, which gain little from
    several threads of torch each.

    Args:
        function: called in threads, in which gradients are on, whatever the caller has set.
        items: all are taken at once.
        most: largest number of threads.

    Yields:
        The results, in the order of the items.

    Raises:
        BaseException: What the function raises; items that were not begun yet are left out.
    """
    import torch

    usual = torch.get_num_threads()
    threads = min(most, usual)
    torch.set_num_threads(usual // threads)
    pool = ThreadPoolExecutor(threads)
    try:
        yield from pool.map(function, items)
    finally:
        pool.shutdown(cancel_futures=True)
        torch.set_num_threads(usual)
