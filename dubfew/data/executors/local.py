"""Prepare clips with processes of this machine."""

from __future__ import annotations

import queue
from collections.abc import Collection, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import ExitStack

from dubfew.data.executors._bounded import POLL_SECONDS, run_bounded
from dubfew.data.jobs import ClipJob, ClipOutcome, FramesCallback, OutcomeStream
from dubfew.data.workers import ClipWorker
from dubfew.utils.cpu import num_available_cpus


def run_jobs(
    jobs: Sequence[ClipJob], num_workers: int | None, on_frames: FramesCallback = lambda count: None
) -> OutcomeStream:
    """Prepare clips with processes of this machine.

    Args:
        jobs: the clips.
        num_workers: how many processes; one per core by default.
        on_frames: told of frames as they are done, how many more each time.

    Yields:
        Number and outcome of each job as it ends.
    """
    num_workers = max(1, min(num_workers or num_available_cpus(), len(jobs)))
    heard: queue.SimpleQueue[int] = queue.SimpleQueue()
    idle: queue.SimpleQueue[ClipWorker] = queue.SimpleQueue()

    def run_job(job: ClipJob) -> ClipOutcome:
        worker = idle.get()
        try:
            return worker.run_job(job, heard.put)
        finally:
            idle.put(worker)

    def wait_for_any(running: Collection[Future[ClipOutcome]]) -> Collection[Future[ClipOutcome]]:
        done, _ = wait(running, POLL_SECONDS, FIRST_COMPLETED)
        on_frames(sum(heard.get() for _ in range(heard.qsize())))
        return done

    # Left in this order: workers are killed, then the threads that wait for them can end.
    with ThreadPoolExecutor(num_workers) as threads, ExitStack() as workers:
        for _ in range(num_workers):
            idle.put(workers.enter_context(ClipWorker()))
        yield from run_bounded(
            jobs, num_workers, lambda job: threads.submit(run_job, job), wait_for_any, Future.result
        )
