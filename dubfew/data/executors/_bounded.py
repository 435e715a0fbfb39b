"""The loop that all executors share: run a limited number of jobs at a time."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import TypeVar

from dubfew.data.jobs import Job, Outcome, OutcomeStream

# Longest wait for an outcome, s, before frames are reported. Without an end to the wait Windows
# would not notice Ctrl-C at all; a shorter one only costs time.
POLL_SECONDS = 1.0
Task = TypeVar("Task")


def run_bounded(
    jobs: Sequence[Job],
    max_running: int,
    submit: Callable[[Job], Task],
    wait_for_any: Callable[[Collection[Task]], Collection[Task]],
    get_outcome: Callable[[Task], Outcome],
) -> OutcomeStream[Outcome]:
    """Run jobs, a few at a time, so that no executor has to hold thousands.

    Args:
        jobs: the jobs.
        max_running: most jobs that run at once, at least 1.
        submit: starts a job.
        wait_for_any: gives those of some tasks that ended, or none after `POLL_SECONDS`.
        get_outcome: gives the outcome of a task that ended.

    Yields:
        Number and outcome of each job, as it ends.
    """
    running: dict[Task, int] = {}
    waiting = iter(enumerate(jobs))
    while True:
        # Start as many as may run; results free places for more.
        while len(running) < max_running and (numbered := next(waiting, None)):
            number, job = numbered
            running[submit(job)] = number
        if not running:
            return
        for task in wait_for_any(running):
            yield running.pop(task), get_outcome(task)
