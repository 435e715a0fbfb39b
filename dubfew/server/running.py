"""Running the server."""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

from dubfew.errors import DubfewError
from dubfew.jobs.pool import WorkerPool, default_store_folder
from dubfew.jobs.store import JobStore
from dubfew.server.access import check_binding
from dubfew.server.options import ServeOptions
from dubfew.utils.import_utils import import_optional

# Connections that may wait for the server at a time.
BACKLOG = 128
# Time that open requests have to end when the server is stopped, s; events would never end.
SHUTDOWN_SECONDS = 3


def serve(
    options: ServeOptions,
    *,
    folder: Path | None = None,
    on_ready: Callable[[str], None] = lambda url: None,
    worker_command: Sequence[str] | None = None,
) -> None:
    """Run the server until it is interrupted.

    Args:
        options: options of the server.
        folder: folder of the queue; default: ``jobs`` in DUBFEW_HOME.
        on_ready: function that is called with the server's URL, once it can be reached.
        worker_command: program of a worker, see `WorkerPool`; default: dubfew's own.

    Raises:
        DubfewError: The address cannot be listened on, or can be reached by others and there is no
            key.
        MissingDependencyError: The extra ``serve`` is not installed.
    """
    import_optional("uvicorn")
    from dubfew.server.application import make_application

    store = JobStore(folder or default_store_folder())
    check_binding(store, options)
    listening = listen(options.host, options.port)
    with listening:
        command = {} if worker_command is None else {"command": worker_command}
        pool = WorkerPool(store, options.workers, **command)
        application = make_application(store, options, pool=pool)
        host, port = listening.getsockname()[:2]
        on_ready(f"http://{f'[{host}]' if ':' in host else host}:{port}")
        run_application(application, listening)


def run_application(application: Any, listening: socket.socket) -> None:
    """Answer requests until the process is interrupted.

    Args:
        application: an ASGI application.
        listening: the socket that listens.

    Raises:
        MissingDependencyError: uvicorn is not installed.
    """
    uvicorn = import_optional("uvicorn")
    # Requests that never end, as those for events, are cut off at the end; that is no fault.
    logging.getLogger("uvicorn.error").addFilter(_is_fault)
    config = uvicorn.Config(
        application,
        log_level="warning",
        access_log=False,  # addresses of people are nobody's business
        server_header=False,
        timeout_graceful_shutdown=SHUTDOWN_SECONDS,
    )
    with hold_back_signals():
        uvicorn.Server(config).run(sockets=[listening])


@contextmanager
def hold_back_signals() -> Iterator[None]:
    """Pass on the signals that end the process only after the block.

    uvicorn passes them on while its event loop runs. An exception there would end open requests in
    the middle, with a traceback of each.
    """
    if threading.current_thread() is not threading.main_thread():  # Python allows no handlers there
        yield
        return
    received: list[int] = []

    def note(number: int, frame: FrameType | None) -> None:
        received.append(number)

    numbers = (signal.SIGINT, signal.SIGTERM)
    handlers = {number: signal.signal(number, note) for number in numbers}
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
    if received:
        signal.raise_signal(received[0])


def _is_fault(record: logging.LogRecord) -> bool:
    """Whether a message of the server is more than the end of an open request."""
    is_cancelled = record.exc_info is not None and isinstance(
        record.exc_info[1], asyncio.CancelledError
    )
    return not is_cancelled and not str(record.msg).startswith("Cancel ")


def listen(host: str, port: int) -> socket.socket:
    """Open the socket that a server listens on.

    Args:
        host: address or name.
        port: port; 0 for a free one.

    Raises:
        DubfewError: The port is taken, or the address is not this machine's.
    """
    try:
        family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        found = socket.socket(family, kind)
        found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        found.bind(address)
        found.listen(BACKLOG)
    except OSError as error:
        raise DubfewError(
            f"cannot listen on {host}, port {port} ({error.strerror or error}): choose "
            "another with --port or --host"
        ) from error
    return found
