"""Preparing many clips at once: workers on this machine, or on those of a Ray cluster."""

from __future__ import annotations

import os
import platform
import queue
from collections.abc import Callable, Collection, Generator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import ExitStack
from typing import Any, TypeVar

import dubfew
from dubfew.data.workers import ClipJob, ClipOutcome, ClipWorker, FramesCallback
from dubfew.utils.cpu import num_available_cpus
from dubfew.utils.import_utils import import_optional

# An engine looks up so often, s: to tell of frames, and on Windows to hear Ctrl-C at all.
POLL_SECONDS = 1.0
OutcomeStream = Generator[tuple[int, ClipOutcome], None, None]
Task = TypeVar("Task")


def run_with_processes(
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
        yield from _run_bounded(
            jobs, num_workers, lambda job: threads.submit(run_job, job), wait_for_any, Future.result
        )


_ray_worker: ClipWorker | None = None


def _run_ray_job(job: ClipJob, driver_version: str) -> ClipOutcome:
    """What Ray runs: the same worker process as on this machine, kept for the next task."""
    global _ray_worker
    if dubfew.__version__ != driver_version:
        return ClipOutcome(
            error=f"{platform.node()} has dubfew {dubfew.__version__}, this machine "
            f"{driver_version}: install the same on all"
        )
    _ray_worker = _ray_worker or ClipWorker()
    return _ray_worker.run_job(job)


def run_with_ray(
    jobs: Sequence[ClipJob], num_workers: int | None, on_frames: FramesCallback = lambda count: None
) -> OutcomeStream:
    """Prepare clips with Ray, over all machines of the cluster that ``RAY_ADDRESS`` names.

    Without one Ray is started on this machine, with ``num_workers`` processors. Every machine must
    have
    the same dubfew, and see the videos and the output folder at the same paths.

    Raises:
        MissingDependencyError: Ray is not installed.
    """
    ray = import_optional("ray")
    started = not ray.is_initialized()
    if started:
        own = {"num_cpus": num_workers, "include_dashboard": False}
        own = {} if os.environ.get("RAY_ADDRESS") else own
        ray.init(log_to_driver=False, logging_level="ERROR", **own)

    def wait_for_any(running: Collection[Any]) -> Collection[Any]:
        ready, _ = ray.wait(list(running), timeout=POLL_SECONDS)
        on_frames(0)
        return ready

    def get_outcome(reference: Any) -> ClipOutcome:
        try:
            found: ClipOutcome = ray.get(reference)
        except ray.exceptions.RayError as error:
            reason = str(error).strip().splitlines()[0]
            return ClipOutcome(error=f"Ray lost it ({type(error).__name__}: {reason})")
        on_frames(found.num_frames)
        return found

    try:
        # One processor each; a clip that kills its process is not tried again.
        task = ray.remote(num_cpus=1, max_retries=0)(_run_ray_job)
        limit = num_workers or max(1, 2 * int(ray.cluster_resources().get("CPU", 1)))
        submit = lambda job: task.remote(job, dubfew.__version__)  # noqa: E731
        yield from _run_bounded(jobs, limit, submit, wait_for_any, get_outcome)
    finally:
        if started:
            ray.shutdown()


def _run_bounded(
    jobs: Sequence[ClipJob],
    max_running: int,
    submit: Callable[[ClipJob], Task],
    wait_for_any: Callable[[Collection[Task]], Collection[Task]],
    get_outcome: Callable[[Task], ClipOutcome],
) -> OutcomeStream:
    """Jobs handed out a few at a time, so that nobody need hold a list of thousands."""
    running: dict[Task, int] = {}
    waiting = iter(enumerate(jobs))
    while True:
        while len(running) < max_running and (numbered := next(waiting, None)):
            number, job = numbered
            running[submit(job)] = number
        if not running:
            return
        for task in wait_for_any(running):
            yield running.pop(task), get_outcome(task)


ClipExecutor = Callable[[Sequence[ClipJob], "int | None", FramesCallback], OutcomeStream]
# An engine is one line here.
CLIP_EXECUTORS: dict[str, ClipExecutor] = {"local": run_with_processes, "ray": run_with_ray}
