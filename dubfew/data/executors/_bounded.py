"""The loop that all executors share."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import TypeVar

from dubfew.data.jobs import ClipJob, ClipOutcome, OutcomeStream

# An engine looks up so often, s: to tell of frames, and on Windows to hear Ctrl-C at all.
POLL_SECONDS = 1.0
Task = TypeVar("Task")


def run_bounded(
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
