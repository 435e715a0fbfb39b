"""The process that does jobs of a batch, one after another."""

from __future__ import annotations

import base64
import dataclasses
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dubfew.data.jobs import AnswerQuestion, FramesCallback, refuse_question
from dubfew.data.workers import HandleRequest, ParentChannel, WorkerProcess, serve_requests
from dubfew.errors import DubfewError
from dubfew.jobs.description import JobDescription
from dubfew.progress import Progress, ProgressCallback

# Units of progress of one job, so that small steps are whole numbers.
PROGRESS_UNITS = 1000


@dataclass(frozen=True)
class RowJob:
    """A job as plain values that cross processes and machines.

    Attributes:
        id: id of the row.
        description: the job, as `JobDescription.to_json` writes it.
        out: file to write.
        log: file to append the log to.
        report: page to write about the output, or "".
        home: folder of the registry.
        weight: units of progress of the whole job.
        lent: whether the process has no keys, and has to ask for the actors; see lending.py.
    """

    id: str
    description: str
    out: str
    log: str
    report: str
    home: str
    weight: int = PROGRESS_UNITS
    lent: bool = False


@dataclass(frozen=True)
class RowOutcome:
    """What became of a job.

    Attributes:
        result: facts about the output.
        error: reason of a failure, or "".
        may_retry: whether the failure may have been chance: a process that died, or a fault.
        seconds: duration, s.
    """

    result: dict[str, Any] = field(default_factory=dict)
    error: str = ""
    may_retry: bool = False
    seconds: float = 0.0


class BatchWorker(WorkerProcess):
    """A process that does one job after another."""

    def __init__(self) -> None:
        super().__init__("dubfew.batch.worker:serve_rows")

    def run_job(
        self,
        job: RowJob,
        on_frames: FramesCallback = lambda count: None,
        answer: AnswerQuestion = refuse_question,
    ) -> RowOutcome:
        """Do a job; the death of the process is a failure of the job.

        Args:
            job: the job.
            on_frames: called with the units of progress that were done since the last call.
            answer: lends actors, see `ActorLender.answer`.
        """
        began = time.monotonic()
        found = self.request(
            dataclasses.asdict(job), lambda message: on_frames(message.get("units", 0)), answer
        )
        if isinstance(found, str):
            outcome = self.describe_loss(f"the process that did it {found}")
            return dataclasses.replace(outcome, seconds=time.monotonic() - began)
        return RowOutcome(**found)

    def describe_loss(self, reason: str) -> RowOutcome:
        """Make the outcome of a job that was lost with its process or machine.

        Args:
            reason: what happened, in words.
        """
        return RowOutcome(error=reason, may_retry=True)


def serve_rows() -> None:
    """Do the jobs that come on stdin, until it ends."""
    serve_requests(_load_row_handler)


def _load_row_handler() -> HandleRequest:
    """Import what a job needs."""
    import torch

    torch.set_num_threads(1)

    def handle(fields: dict[str, Any], parent: ParentChannel) -> dict[str, Any]:
        outcome = do_row(RowJob(**fields), lambda units: parent({"units": units}), parent.ask)
        return dataclasses.asdict(outcome)

    return handle


def do_row(
    job: RowJob,
    on_units: Callable[[int], None],
    ask: AnswerQuestion = refuse_question,
) -> RowOutcome:
    """Do one job in this process, with a log of its own.

    Args:
        job: the job.
        on_units: called with the units of progress that were done since the last call.
        ask: asks the process that gave the job for its actors.
    """
    from dubfew.jobs.running import run_job
    from dubfew.registry import Registry

    began, told, stage = time.monotonic(), 0, ""
    with open(job.log, "a", encoding="utf-8") as log:

        def write_line(text: str) -> None:
            log.write(f"{time.strftime('%Y-%m-%d %H:%M:%S')}  {text}\n")
            # At once: a process that dies leaves a log up to its last step.
            log.flush()

        def report(progress: Progress) -> None:
            nonlocal told, stage
            if progress.stage != stage:
                stage = progress.stage
                write_line(stage)
            # Stages may report a fraction that falls back; units that were told stay.
            units = min(job.weight, round((progress.fraction or 0.0) * job.weight))
            if units > told:
                on_units(units - told)
                told = units

        write_line(f"begins: {job.description}")
        try:
            description = JobDescription.from_json(job.description)
            # The batch owns its outputs: it has checked that no other file is replaced.
            options = {**description.options, **({"report": job.report} if job.report else {})}
            description = dataclasses.replace(description, options=options)
            if job.lent:
                result = _do_lent_row(job, description, ask, report)
            else:
                registry = Registry(Path(job.home))
                result = run_job(description, Path(job.out), registry, report, overwrite=True)
        except Exception as error:
            is_known = isinstance(error, DubfewError)
            if not is_known:
                # A fault of the program: its traceback helps who reports it. Wrong input needs a
                # sentence only.
                traceback.print_exc(file=log)
            message = " ".join(str(error).split()) or type(error).__name__
            message = message if is_known else f"unexpected {type(error).__name__}: {message}"
            write_line(f"failed: {message}")
            # A fault may pass at the next try, as for want of memory; wrong input will not.
            return RowOutcome({}, message, not is_known, time.monotonic() - began)
        seconds = time.monotonic() - began
        write_line(f"done in {seconds:.0f} s: {result.get('note', '')}")
        return RowOutcome(result, "", False, seconds)


def _do_lent_row(
    job: RowJob, description: JobDescription, ask: AnswerQuestion, report: ProgressCallback
) -> dict[str, Any]:
    """Render with lent actors into a file that is still to be signed and logged.

    Raises:
        DubfewError: An actor is not lent, or the job fails.
    """
    from dubfew.batch.lending import PROVENANCE_KEY, provenance_to_json, unsigned_path
    from dubfew.jobs.running import run_job
    from dubfew.prior.locate import copy_prior_paths
    from dubfew.registry import default_data_dir
    from dubfew.registry.guest import GuestRegistry

    with GuestRegistry() as guest:
        reply = ask({"id": job.id, "key": guest.public_key})
        if "error" in reply:
            raise DubfewError(f"its actor is not lent: {reply['error']}")
        for sealed in reply["actors"]:
            guest.receive(base64.b64decode(sealed))
        for home in (default_data_dir(), Path(job.home)):
            copy_prior_paths(home, guest.home)
        # The revision that was asked for is the only one here.
        options = {name: value for name, value in description.options.items() if name != "revision"}
        description = dataclasses.replace(description, options=options)
        out = unsigned_path(Path(job.out))
        result = run_job(description, out, guest, report, overwrite=True)
        (rendering,) = guest.postponed
        return {**result, PROVENANCE_KEY: provenance_to_json(rendering)}
