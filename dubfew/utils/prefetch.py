"""Prefetching: a producer that runs in a thread, ahead of its consumer by a bounded buffer."""

from __future__ import annotations

import queue
import threading
from collections.abc import Generator, Iterable
from typing import TypeVar

Item = TypeVar("Item")
# Put into the buffer behind the last item.
_END_OF_ITEMS = object()


def prefetch(items: Iterable[Item], buffer_size: int = 4) -> Generator[Item, None, None]:
    """Produce the same items in a thread, ahead of the consumer.

    An exception of the producer is raised in place of the item that it prevented. When the
    consumer stops early, the producer stops at its next item. Close the generator, as with
    ``contextlib.closing``, to be sure that the thread has ended.

    Args:
        items: source of the items; it is iterated in the thread.
        buffer_size: largest number of items that wait for the consumer, beside one that the
            producer makes meanwhile; 0 for no other. More items smooth out uneven work and cost
            memory; frames of 4K video take 25 MB each.

    Yields:
        The items in their order.

    Raises:
        BaseException: The producer's own exception, whatever its class.

    Example:
        >>> list(prefetch(range(3)))
        [0, 1, 2]
    """
    # Holds items, the end mark, or an exception.
    buffer: queue.SimpleQueue[object] = queue.SimpleQueue()
    # Items that may still be made: those that wait, and one in the producer's hands.
    room = threading.Semaphore(buffer_size + 1)
    stopped = threading.Event()

    def produce() -> None:
        try:
            source, item = iter(items), None
            while item is not _END_OF_ITEMS:
                room.acquire()
                if stopped.is_set():
                    return
                item = next(source, _END_OF_ITEMS)
                buffer.put(item)
        except BaseException as error:  # the consumer raises it
            buffer.put(_ProducerError(error))

    # A daemon, so that a consumer that never closes the generator does not keep Python alive.
    thread = threading.Thread(target=produce, daemon=True)
    thread.start()
    try:
        while (thing := buffer.get()) is not _END_OF_ITEMS:
            if isinstance(thing, _ProducerError):
                raise thing.error
            room.release()
            yield thing  # type: ignore[misc]
    finally:
        stopped.set()
        room.release()
        _join(thread)


def _join(thread: threading.Thread) -> None:
    """Wait until a thread has ended, even if further interrupts come meanwhile.

    `timeout` and impatient users send two. What the caller closes next is still used by the thread.
    """
    interrupt: KeyboardInterrupt | None = None
    while thread.is_alive():
        try:
            thread.join()
        except KeyboardInterrupt as error:
            interrupt = error
    if interrupt is not None:
        raise interrupt


class _ProducerError:
    """An exception of the producer on its way through the buffer."""

    def __init__(self, error: BaseException) -> None:
        self.error = error
