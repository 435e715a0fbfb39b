"""Do jobs with processes of this machine."""

from __future__ import annotations

import queue
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import ExitStack

from dubfew.data.executors._bounded import POLL_SECONDS, run_bounded
from dubfew.data.jobs import (
    AnswerQuestion,
    FramesCallback,
    Job,
    JobWorker,
    Outcome,
    OutcomeStream,
    refuse_question,
)
from dubfew.utils.cpu import num_available_cpus


def run_jobs(
    jobs: Sequence[Job],
    num_workers: int | None,
    on_frames: FramesCallback = lambda count: None,
    *,
    make_worker: Callable[[], JobWorker[Job, Outcome]],
    answer: AnswerQuestion = refuse_question,
) -> OutcomeStream[Outcome]:
    """Do jobs with processes of this machine.

    Args:
        jobs: the jobs.
        num_workers: number of processes; None for one per core.
        on_frames: called about every second with the number of newly done units.
        make_worker: class of the processes.
        answer: answers questions of the jobs, from the threads that wait for them.

    Yields:
        Number and outcome of each job, as it ends.
    """
    num_workers = max(1, min(num_workers or num_available_cpus(), len(jobs)))
    new_frames: queue.SimpleQueue[int] = queue.SimpleQueue()
    idle: queue.SimpleQueue[JobWorker[Job, Outcome]] = queue.SimpleQueue()

    def run_job(job: Job) -> Outcome:
        worker = idle.get()
        try:
            return worker.run_job(job, new_frames.put, answer)
        finally:
            idle.put(worker)

    def wait_for_any(running: Collection[Future[Outcome]]) -> Collection[Future[Outcome]]:
        done, _ = wait(running, POLL_SECONDS, FIRST_COMPLETED)
        # Report from this thread: callers need not expect calls from others.
        on_frames(sum(new_frames.get() for _ in range(new_frames.qsize())))
        return done

    # A thread per process waits for its messages. On leaving, the processes are killed first; then
    # the threads that wait for them can end.
    with ThreadPoolExecutor(num_workers) as threads, ExitStack() as workers:
        for _ in range(num_workers):
            worker = make_worker()
            workers.callback(worker.close)
            idle.put(worker)
        yield from run_bounded(
            jobs, num_workers, lambda job: threads.submit(run_job, job), wait_for_any, Future.result
        )
