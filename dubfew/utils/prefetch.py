"""Stages that run side by side with bounded buffers between them."""

from __future__ import annotations

import queue
import threading
from collections.abc import Generator, Iterable
from typing import TypeVar

Item = TypeVar("Item")
_END_OF_ITEMS = object()


def prefetch(items: Iterable[Item], buffer_size: int = 4) -> Generator[Item, None, None]:
    """The same items, produced in a thread of their own, at most ``buffer_size`` ahead.

    An exception in the producer is raised where its item would have come. When the consumer
    stops early the producer stops at its next item.
    """
    buffer: queue.Queue[object] = queue.Queue(buffer_size)
    stopped = threading.Event()

    def put(thing: object) -> bool:
        while not stopped.is_set():
            try:
                buffer.put(thing, timeout=0.1)
                return True
            except queue.Full:
                continue
        return False

    def produce() -> None:
        try:
            for item in items:
                if not put(item):
                    return
            put(_END_OF_ITEMS)
        except BaseException as error:  # handed to the consumer, who raises it
            put(_ProducerError(error))

    thread = threading.Thread(target=produce, daemon=True)
    thread.start()
    try:
        while (thing := buffer.get()) is not _END_OF_ITEMS:
            if isinstance(thing, _ProducerError):
                raise thing.error
            yield thing  # type: ignore[misc]
    finally:
        stopped.set()
        thread.join()


class _ProducerError:
    def __init__(self, error: BaseException) -> None:
        self.error = error
