"""Signals that end a training between two steps, so that its state can be stored."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType
from typing import Any


@dataclass
class Interruption:
    """Whether a signal asked the work to end.

    Attributes:
        requested: True after the first signal.
    """

    requested: bool = False


@contextmanager
def deferred_interrupts() -> Iterator[Interruption]:
    """Note the first signal that would end the process, for the block to end where it can.

    The second signal is handled as it was before. Outside of the main thread, where Python handles
    no signals, nothing changes.
    """
    interruption = Interruption()
    before: dict[int, Any] = {}

    def note(number: int, frame: FrameType | None) -> None:
        interruption.requested = True
        signal.signal(number, before[number])

    if threading.current_thread() is threading.main_thread():
        for name in ("SIGINT", "SIGTERM", "SIGHUP"):
            number = getattr(signal, name, None)  # Windows has no SIGHUP
            # Only signals that Python handles: a default action or `nohup` stays what it is.
            if number is not None and callable(signal.getsignal(number)):
                before[number] = signal.signal(number, note)
    try:
        yield interruption
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
