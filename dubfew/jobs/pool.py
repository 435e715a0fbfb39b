"""Worker processes: started, replaced when they end, and ended with the process that has them."""

from __future__ import annotations

import secrets
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from dubfew.jobs.store import ID_BYTES, STORE_FOLDER_NAME, JobStore
from dubfew.utils.paths import default_data_dir

# File in the store that the pool keeps locked.
LOCK_NAME = "pool.lock"
# Time between two looks at the workers, s.
WATCH_SECONDS = 0.3
# A worker that lived shorter than this ends again soon: wait before the next, s.
MIN_LIFE_SECONDS = 5.0
# Time that workers have to end, s, before they are killed.
STOP_SECONDS = 10.0


@dataclass
class _Worker:
    """A running worker."""

    process: subprocess.Popen[str]
    lease: str
    began: float


class WorkerPool:
    """Processes that do the jobs of a store.

    One pool at a time works for a store. It begins by putting jobs of killed workers back. Another
    one waits until the first has ended, and then takes its place.

    Args:
        store: the queue.
        count: number of processes.
        command: program of a worker and its arguments; the folder of the store is added.
    """

    def __init__(
        self,
        store: JobStore,
        count: int = 1,
        command: Sequence[str] = (sys.executable, "-m", "dubfew.jobs.worker"),
    ) -> None:
        self._store, self._count, self._command = store, count, [*command]
        self._workers: list[_Worker] = []
        # The operating system releases it when this process ends, however that happens.
        self._lock = FileLock(store.folder / LOCK_NAME, thread_local=False)
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Start the workers, or wait in the background for another pool to end."""
        self._take_place()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the workers; jobs that they do wait again."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join()
        for worker in self._workers:
            _close(worker.process)
        for worker in self._workers:
            try:
                worker.process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                worker.process.kill()
                worker.process.wait()
        self._workers = []
        if self._lock.is_locked:
            self._store.release_all()
            self._lock.release()

    @property
    def num_alive(self) -> int:
        """Return the number of workers that run."""
        return sum(worker.process.poll() is None for worker in self._workers)

    def _take_place(self) -> None:
        """Start the workers, unless another pool has its own."""
        try:
            self._lock.acquire(timeout=0)
        except Timeout:
            return
        self._store.release_all()
        self._workers = [self._start_worker() for _ in range(self._count)]

    def _start_worker(self) -> _Worker:
        lease = secrets.token_hex(ID_BYTES)
        process = subprocess.Popen(
            [*self._command, str(self._store.folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            text=True,
            # Ctrl-C in a terminal is for the server, which then ends its workers.
            start_new_session=True,
        )
        assert process.stdin is not None
        with suppress(OSError):  # it ended at once; the watch sees that
            process.stdin.write(f"{lease}\n")
            process.stdin.flush()
        return _Worker(process, lease, time.monotonic())

    def _watch(self) -> None:
        """Replace workers that ended, until the pool is stopped."""
        while not self._stopping.wait(WATCH_SECONDS):
            if not self._lock.is_locked:
                self._take_place()
            for place, worker in enumerate(self._workers):
                if worker.process.poll() is None:
                    continue
                self._store.release(worker.lease)
                _close(worker.process)
                life = time.monotonic() - worker.began
                if life < MIN_LIFE_SECONDS and self._stopping.wait(MIN_LIFE_SECONDS - life):
                    return
                self._workers[place] = self._start_worker()


def _close(process: subprocess.Popen[str]) -> None:
    """Close the pipe of a worker, which ends it."""
    if process.stdin is not None:
        with suppress(OSError):
            process.stdin.close()


def default_store_folder() -> Path:
    """Return the folder of the user's own queue, in DUBFEW_HOME."""
    return default_data_dir() / STORE_FOLDER_NAME
