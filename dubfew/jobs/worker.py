"""The worker: a process that does one job of the queue after the other.

``python -m dubfew.jobs.worker FOLDER`` is started by `dubfew.jobs.pool.WorkerPool`, which writes
the lease on its standard input and keeps that open. When it is closed, by whatever end of the pool,
the worker ends at once.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import threading
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filelock import FileLock

from dubfew.errors import DubfewError
from dubfew.jobs.records import Job
from dubfew.jobs.running import run_job
from dubfew.jobs.store import JobStore
from dubfew.progress import Progress, ProgressCallback, no_progress
from dubfew.utils.files import write_atomic

if TYPE_CHECKING:
    from dubfew.jobs.description import JobDescription
    from dubfew.registry import Registry
    from dubfew.render.cache import RenderCache

# Time between two looks at an empty queue, s: what a user takes for "at once".
POLL_SECONDS = 0.3
# Shortest time between two stored reports, s. More would keep the disk busy and tell nobody more.
MIN_REPORT_SECONDS = 0.5
# Jobs after which a worker ends and is replaced, so that no leak of a library grows for ever.
MAX_JOBS = 100
# Actors and tracks of scenes that a worker keeps: takes of one scene come one after the other, and
# workers together have to fit into memory. A minute of a track takes 22 MB.
MAX_WARM_ACTORS, MAX_WARM_TRACKS = 2, 2
# Time that a worker waits for an earlier one of the same job to end, s; it ends within
# milliseconds, unless the machine hangs.
MAX_LOCK_SECONDS = 60
# Names in the folder of a job.
RESULT_NAME, LOCK_NAME, OUTPUT_STEM = "result.json", "worker.lock", "output"
# Length of an error message in the queue, characters.
MAX_MESSAGE_LENGTH = 2000

# The function that does the work; the load test has one of its own.
JobFunction = Callable[..., dict[str, Any]]


class _CancelledError(Exception):
    """The job was cancelled, or another process has it."""


def output_path(store: JobStore, job: Job) -> Path | None:
    """Return the file that a job writes or has written, or None if it has expired.

    Args:
        store: the queue, which holds the jobs' folders.
        job: a render or dub in any state; the file need not exist.
    """
    if job.description is None:
        return None
    name = f"{OUTPUT_STEM}.{job.description.container}"
    # Previews have a name of their own.
    if job.result is not None and "output" in job.result:
        name = Path(job.result["output"]).name
    return store.job_folder(job.id) / name


class WarmRunner:
    """Does jobs as `run_job` does, and keeps the last actors and tracks between them.

    What is kept is in memory alone. Before each job, what belongs to deleted actors is forgotten.
    """

    def __init__(self) -> None:
        self._cache: RenderCache | None = None

    def __call__(
        self,
        description: JobDescription,
        out: Path,
        registry: Registry,
        progress: ProgressCallback = no_progress,
    ) -> dict[str, Any]:
        """Do one job; arguments and result are those of `run_job`."""
        if self._cache is None:
            # Here, because it imports torch: a worker that waits needs none of it.
            from dubfew.render.cache import RenderCache

            self._cache = RenderCache(max_actors=MAX_WARM_ACTORS, max_tracks=MAX_WARM_TRACKS)
        self._cache.forget_absent(registry)
        return run_job(description, out, registry, progress, cache=self._cache)


def work_off(
    store: JobStore,
    lease: str,
    registry: Registry,
    *,
    run: JobFunction = run_job,
    max_jobs: int = MAX_JOBS,
    wait: bool = True,
) -> int:
    """Do the jobs of a queue, one after the other.

    Args:
        store: the queue.
        lease: lease of this process.
        registry: registry that holds the actors.
        run: function that does the work, as `run_job`.
        max_jobs: number of jobs to do.
        wait: True to wait for more where the queue is empty, False to return.

    Returns:
        Number of jobs that were done.
    """
    count = 0
    while count < max_jobs:
        job = store.claim(lease)
        if job is None:
            if not wait:
                break
            time.sleep(POLL_SECONDS)
            continue
        do_job(store, job, lease, registry, run)
        count += 1
    return count


def do_job(
    store: JobStore, job: Job, lease: str, registry: Registry, run: JobFunction = run_job
) -> None:
    """Do one claimed job and store how it ended.

    An output that an earlier process has finished, and was killed before it could say so, counts as
    the result: it is not made a second time.

    Args:
        store: the queue.
        job: the job.
        lease: lease of this process.
        registry: registry that holds the actors.
        run: function that does the work.
    """
    folder, out = store.job_folder(job.id), output_path(store, job)
    if job.description is None or out is None:  # expired between the claim and here
        store.finish(job.id, lease, cancelled=True)
        return
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    try:
        # A process that lost the job may still be ending.
        with FileLock(folder / LOCK_NAME, timeout=MAX_LOCK_SECONDS):
            for left in folder.glob(".segments-*"):
                shutil.rmtree(left, ignore_errors=True)
            result = _find_result(folder, out)
            if result is None:
                result = run(job.description, out, registry, _make_reporter(store, job, lease))
                write_atomic(folder / RESULT_NAME, json.dumps(result).encode())
        store.finish(job.id, lease, result=result)
    except _CancelledError:
        shutil.rmtree(folder, ignore_errors=True)
        store.finish(job.id, lease, cancelled=True)
    except Exception as error:
        if not isinstance(error, DubfewError):
            traceback.print_exc()
        store.finish(job.id, lease, error=_describe_error(store, job, error))


def _find_result(folder: Path, out: Path) -> dict[str, Any] | None:
    """The result that an earlier process left, or None. Outputs appear whole or not at all."""
    if (folder / RESULT_NAME).exists():
        found: dict[str, Any] = json.loads((folder / RESULT_NAME).read_bytes())
        return found
    if out.exists():
        return {"output": out.name, "note": "finished just before the server was stopped"}
    return None


def _make_reporter(store: JobStore, job: Job, lease: str) -> ProgressCallback:
    """Make the progress callback that stores reports, and ends the work where that was asked."""
    last_time, last_stage = 0.0, ""

    def report(progress: Progress) -> None:
        nonlocal last_time, last_stage
        now = time.monotonic()
        if progress.stage == last_stage and now - last_time < MIN_REPORT_SECONDS:
            return
        last_time, last_stage = now, progress.stage
        if not store.report(job.id, lease, progress):
            raise _CancelledError

    return report


def _describe_error(store: JobStore, job: Job, error: Exception) -> dict[str, str]:
    """Describe a failure in one line that names no folder of the server."""
    message = " ".join(str(error).split())
    if isinstance(error, OSError) and error.strerror:
        message = f"{error.strerror}: {Path(str(error.filename or '')).name or 'the server'}"
    elif isinstance(error, MemoryError):
        message = "not enough memory: use shorter footage"
    elif not isinstance(error, DubfewError):
        message = f"unexpected {type(error).__name__}: a fault of dubfew; the server's log has more"
    for path in (*store.job_folder(job.id).glob("*"), store.job_folder(job.id)):
        message = message.replace(str(path), path.name)
    files = job.description.list_files() if job.description else []
    for path in files:
        if path.is_relative_to(store.folder):
            message = message.replace(str(path), f"upload {path.stem}")
    return {"type": type(error).__name__, "message": message[:MAX_MESSAGE_LENGTH]}


def end_with_parent(lines: Any) -> None:
    """End this process as soon as the parent's end of a pipe is closed.

    Args:
        lines: the file to read, such as ``sys.stdin``.
    """

    def wait() -> None:
        while lines.readline():
            pass
        # The work may be in native code: nothing less ends it at once. Outputs are written beside
        # their place, so nothing half done stays.
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()


def main(arguments: list[str], run: JobFunction | None = None) -> None:
    """Work off the queue in the folder that the arguments name.

    Args:
        arguments: the folder.
        run: function that does the work; default: a `WarmRunner`.
    """
    from dubfew.registry import Registry

    lease = sys.stdin.readline().strip()
    end_with_parent(sys.stdin)
    work_off(JobStore(Path(arguments[0])), lease, Registry(), run=run or WarmRunner())


if __name__ == "__main__":
    main(sys.argv[1:])
