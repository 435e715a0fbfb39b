"""Removal of log lines that native libraries write to stderr whatever their settings are."""

from __future__ import annotations

import os
import re
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

# One block at a time: each takes file descriptor 2 for itself.
_DESCRIPTOR_LOCK = threading.RLock()
# File descriptor of stderr in every process.
_STDERR_FD = 2


@contextmanager
def hide_native_logs(noise: re.Pattern[bytes]) -> Iterator[None]:
    """Keep some lines off stderr that libraries in C++ write there while the block runs.

    What the process writes to file descriptor 2 during the block is collected, and all but the
    noise is written there at its end, in its order; so lines of other threads come late but whole.
    Keep the block short: a process that is started or that crashes in it takes its lines along.
    Nothing is hidden where ``DUBFEW_DEBUG`` is set.

    Args:
        noise: pattern that matches a line from its first byte if the line is to be left out.
    """
    with _DESCRIPTOR_LOCK:
        redirected = None if os.environ.get("DUBFEW_DEBUG") else _redirect_stderr()
        if redirected is None:
            yield
            return
        original, collected = redirected
        try:
            yield
        finally:
            os.dup2(original, _STDERR_FD)
            # A reader that has gone away must not end the work.
            with suppress(OSError):
                _forward(collected, original, noise)
            os.close(original)
            os.close(collected)


def _redirect_stderr() -> tuple[int, int] | None:
    """Send file descriptor 2 to a file without a name; None where that cannot be done.

    A pipe would not do: without a reader a full one stops whoever writes.

    Returns:
        A descriptor of stderr as it was, and that of the file.
    """
    try:
        original = os.dup(_STDERR_FD)
    except OSError:  # this process was started without a stderr
        return None
    try:
        with tempfile.TemporaryFile() as file:
            collected = os.dup(file.fileno())
        os.dup2(collected, _STDERR_FD)
    except OSError:  # no place for temporary files, or no more descriptors
        os.close(original)
        return None
    return original, collected


def _forward(collected: int, target: int, noise: re.Pattern[bytes]) -> None:
    """Write what was collected to a descriptor, without the noise."""
    os.lseek(collected, 0, os.SEEK_SET)
    with os.fdopen(os.dup(collected), "rb") as file:
        kept = b"".join(line for line in file if not noise.match(line))
    while kept:
        kept = kept[os.write(target, kept) :]
