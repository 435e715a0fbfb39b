"""Stages that run side by side with bounded buffers between them."""

from __future__ import annotations

import queue
import threading
from collections.abc import Generator, Iterable
from typing import TypeVar

Item = TypeVar("Item")
_END = object()


def beside(items: Iterable[Item], depth: int = 4) -> Generator[Item, None, None]:
    """The same items, produced in a thread of their own, at most ``depth`` ahead.

    An exception in the producer is raised where its item would have come. When the consumer
    stops early the producer stops at its next item.
    """
    buffer: queue.Queue[object] = queue.Queue(depth)
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
            put(_END)
        except BaseException as error:  # handed to the consumer, who raises it
            put(_Failure(error))

    thread = threading.Thread(target=produce, daemon=True)
    thread.start()
    try:
        while (thing := buffer.get()) is not _END:
            if isinstance(thing, _Failure):
                raise thing.error
            yield thing  # type: ignore[misc]
    finally:
        stopped.set()
        thread.join()


class _Failure:
    def __init__(self, error: BaseException) -> None:
        self.error = error
