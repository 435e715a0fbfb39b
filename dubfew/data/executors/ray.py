"""Do jobs with Ray, over all machines of a cluster."""

from __future__ import annotations

import asyncio
import os
import platform
from collections.abc import Callable, Collection, Sequence
from typing import Any

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
from dubfew.utils.import_utils import import_optional
from dubfew.version import __version__

# The worker processes that belong to this process of Ray's, by their class; starting one takes
# seconds.
_ray_workers: dict[Any, Any] = {}


class _Mailbox:
    """Takes questions of jobs to the process that started them, and answers back.

    It lives in a process of Ray's. Jobs cannot call the one that started them, which has to fetch
    their questions.
    """

    def __init__(self) -> None:
        self._questions: asyncio.Queue[tuple[int, Any]] = asyncio.Queue()
        self._answers: dict[int, asyncio.Future[Any]] = {}
        self._count = 0

    async def ask(self, question: Any) -> Any:
        """Ask, and wait for the answer."""
        self._count += 1
        future = self._answers[self._count] = asyncio.get_running_loop().create_future()
        await self._questions.put((self._count, question))
        return await future

    async def fetch_question(self) -> tuple[int, Any]:
        """Wait for the next question; return its number and itself."""
        return await self._questions.get()

    async def answer(self, number: int, found: Any) -> None:
        """Answer a question."""
        self._answers.pop(number).set_result(found)


def _run_ray_job(
    job: Job,
    driver_version: str,
    make_worker: Callable[[], JobWorker[Job, Outcome]],
    mailbox: Any,
) -> Outcome:
    """Run a job on a machine of the cluster, in the same worker process as without Ray."""
    if make_worker not in _ray_workers:
        _ray_workers[make_worker] = make_worker()
    worker: JobWorker[Job, Outcome] = _ray_workers[make_worker]
    if __version__ != driver_version:
        return worker.describe_loss(
            f"{platform.node()} has dubfew {__version__}, this machine "
            f"{driver_version}: install the same on all"
        )
    if mailbox is None:
        return worker.run_job(job)
    # Not ``ray.get``, which would lend this job's processor to another one while it waits.
    return worker.run_job(
        job, answer=lambda question: mailbox.ask.remote(question).future().result()
    )


def run_jobs(
    jobs: Sequence[Job],
    num_workers: int | None,
    on_frames: FramesCallback = lambda count: None,
    *,
    make_worker: Callable[[], JobWorker[Job, Outcome]],
    answer: AnswerQuestion = refuse_question,
) -> OutcomeStream[Outcome]:
    """Do jobs with Ray, over all machines of the cluster that ``RAY_ADDRESS`` names.

    Without that variable Ray is started on this machine. Every machine must have the same dubfew,
    and see the videos and the output folder at the same paths.

    Args:
        jobs: the jobs.
        num_workers: most jobs at once, and processors of a Ray that is started here; None for as
            many as the cluster has.
        on_frames: called with the number of a job's frames when it is done, and with 0 about every
            second.
        make_worker: class of the processes.
        answer: answers questions of the jobs, in this process.

    Yields:
        Number and outcome of each job, as it ends.

    Raises:
        MissingDependencyError: Ray is not installed.
    """
    ray = import_optional("ray")
    started = not ray.is_initialized()
    if started:
        # Ray refuses these settings for a cluster that exists.
        own = {"num_cpus": num_workers, "include_dashboard": False}
        own = {} if os.environ.get("RAY_ADDRESS") else own
        ray.init(log_to_driver=False, logging_level="ERROR", **own)

    # The mailbox, and the questions that are being fetched from it: one, or none without a mailbox.
    mailbox: Any = None
    questions: list[Any] = []

    def wait_for_any(running: Collection[Any]) -> Collection[Any]:
        ready, _ = ray.wait([*questions, *running], timeout=POLL_SECONDS)
        if questions and questions[0] in ready:
            answer_question(questions.pop())
        on_frames(0)
        return [each for each in ready if each in running]

    def answer_question(reference: Any) -> None:
        try:
            number, asked = ray.get(reference)
        except ray.exceptions.RayError:
            return  # the mailbox is lost: jobs that ask fail, as if their machine were lost
        mailbox.answer.remote(number, answer(asked))
        questions.append(mailbox.fetch_question.remote())

    def get_outcome(reference: Any) -> Outcome:
        try:
            found: Outcome = ray.get(reference)
        except ray.exceptions.RayError as error:
            reason = str(error).strip().splitlines()[0]
            return make_worker().describe_loss(f"Ray lost it ({type(error).__name__}: {reason})")
        on_frames(getattr(found, "num_frames", 0))
        return found

    try:
        if answer is not refuse_question:
            # It needs no processor of its own.
            mailbox = ray.remote(num_cpus=0)(_Mailbox).remote()
            questions.append(mailbox.fetch_question.remote())
        # One processor each; a job that kills its process is not tried again.
        task = ray.remote(num_cpus=1, max_retries=0)(_run_ray_job)
        # Twice as many as there are processors, so that none waits for its next job.
        limit = num_workers or max(1, 2 * int(ray.cluster_resources().get("CPU", 1)))
        submit = lambda job: task.remote(job, __version__, make_worker, mailbox)  # noqa: E731
        yield from run_bounded(jobs, limit, submit, wait_for_any, get_outcome)
    finally:
        if mailbox is not None:
            ray.kill(mailbox)
        if started:
            ray.shutdown()
