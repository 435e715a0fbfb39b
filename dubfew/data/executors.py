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
from dubfew.data.workers import ClipJob, Frames, Outcome, Worker
from dubfew.utils.cpu import usable_cores
from dubfew.utils.import_utils import require

# An engine looks up so often, s: to tell of frames, and on Windows to hear Ctrl-C at all.
LOOK = 1.0
Results = Generator[tuple[int, Outcome], None, None]
Task = TypeVar("Task")


def run_local(
    jobs: Sequence[ClipJob], count: int | None, frames: Frames = lambda count: None
) -> Results:
    """Prepare clips with processes of this machine.

    Args:
        jobs: the clips.
        count: how many processes; one per core by default.
        frames: told of frames as they are done, how many more each time.

    Yields:
        Number and outcome of each job as it ends.
    """
    count = max(1, min(count or usable_cores(), len(jobs)))
    heard: queue.SimpleQueue[int] = queue.SimpleQueue()
    idle: queue.SimpleQueue[Worker] = queue.SimpleQueue()

    def run(job: ClipJob) -> Outcome:
        worker = idle.get()
        try:
            return worker.run(job, heard.put)
        finally:
            idle.put(worker)

    def ended(running: Collection[Future[Outcome]]) -> Collection[Future[Outcome]]:
        done, _ = wait(running, LOOK, FIRST_COMPLETED)
        frames(sum(heard.get() for _ in range(heard.qsize())))
        return done

    # Left in this order: workers are killed, then the threads that wait for them can end.
    with ThreadPoolExecutor(count) as threads, ExitStack() as workers:
        for _ in range(count):
            idle.put(workers.enter_context(Worker()))
        yield from _in_turn(jobs, count, lambda job: threads.submit(run, job), ended, Future.result)


_in_ray: Worker | None = None


def _ray_task(job: ClipJob, version: str) -> Outcome:
    """What Ray runs: the same worker process as on this machine, kept for the next task."""
    global _in_ray
    if dubfew.__version__ != version:
        return Outcome(
            error=f"{platform.node()} has dubfew {dubfew.__version__}, this machine {version}: "
            "install the same on all"
        )
    _in_ray = _in_ray or Worker()
    return _in_ray.run(job)


def run_ray(
    jobs: Sequence[ClipJob], count: int | None, frames: Frames = lambda count: None
) -> Results:
    """Prepare clips with Ray, over all machines of the cluster that ``RAY_ADDRESS`` names.

    Without one Ray is started on this machine, with ``count`` processors. Every machine must have
    the same dubfew, and see the videos and the output folder at the same paths.

    Raises:
        MissingDependencyError: Ray is not installed.
    """
    ray = require("ray")
    started = not ray.is_initialized()
    if started:
        own = {"num_cpus": count, "include_dashboard": False}
        own = {} if os.environ.get("RAY_ADDRESS") else own
        ray.init(log_to_driver=False, logging_level="ERROR", **own)

    def ended(running: Collection[Any]) -> Collection[Any]:
        ready, _ = ray.wait(list(running), timeout=LOOK)
        frames(0)
        return ready

    def outcome(reference: Any) -> Outcome:
        try:
            found: Outcome = ray.get(reference)
        except ray.exceptions.RayError as error:
            reason = str(error).strip().splitlines()[0]
            return Outcome(error=f"Ray lost it ({type(error).__name__}: {reason})")
        frames(found.frames)
        return found

    try:
        # One processor each; a clip that kills its process is not tried again.
        task = ray.remote(num_cpus=1, max_retries=0)(_ray_task)
        limit = count or max(1, 2 * int(ray.cluster_resources().get("CPU", 1)))
        submit = lambda job: task.remote(job, dubfew.__version__)  # noqa: E731
        yield from _in_turn(jobs, limit, submit, ended, outcome)
    finally:
        if started:
            ray.shutdown()


def _in_turn(
    jobs: Sequence[ClipJob],
    limit: int,
    submit: Callable[[ClipJob], Task],
    ended: Callable[[Collection[Task]], Collection[Task]],
    outcome: Callable[[Task], Outcome],
) -> Results:
    """Jobs handed out a few at a time, so that nobody need hold a list of thousands."""
    running: dict[Task, int] = {}
    waiting = iter(enumerate(jobs))
    while True:
        while len(running) < limit and (numbered := next(waiting, None)):
            number, job = numbered
            running[submit(job)] = number
        if not running:
            return
        for task in ended(running):
            yield running.pop(task), outcome(task)


Engine = Callable[[Sequence[ClipJob], "int | None", Frames], Results]
# An engine is one line here.
ENGINES: dict[str, Engine] = {"local": run_local, "ray": run_ray}
