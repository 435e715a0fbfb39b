"""``dubfew batch``: check a table of jobs whole, do what is missing, and remember what was done."""

from __future__ import annotations

import fnmatch
import json
import os
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from dubfew import api
from dubfew.batch.decisions import RETAKE, Decisions, read_decisions
from dubfew.batch.lending import ActorLender, unsigned_path
from dubfew.batch.options import BatchOptions
from dubfew.batch.state import BEGUN, DONE, FAILED, BatchState, RowRecord
from dubfew.batch.summary import write_summary
from dubfew.batch.table import BatchRow, read_table
from dubfew.batch.worker import PROGRESS_UNITS, BatchWorker, RowJob, RowOutcome
from dubfew.data.executors import CLIP_EXECUTORS
from dubfew.data.jobs import refuse_question
from dubfew.errors import DubfewError
from dubfew.jobs.running import check_job, list_job_actors
from dubfew.marks.sidecar import credentials_path
from dubfew.progress import Progress, ProgressCallback, no_progress
from dubfew.registry import Registry
from dubfew.render.cast import read_cast
from dubfew.utils.counts import count_things
from dubfew.utils.files import sha256_file
from dubfew.utils.options import document_options, merge_options

# Page in the folder of the batch that shows what became of all jobs.
SUMMARY_NAME = "summary.html"
# Free space beyond the expected outputs that must be left, bytes: temporary files of the jobs.
SPARE_BYTES = 500_000_000
# Words for what will be done with a job.
MISSING, CHANGED, AGAIN, UNCHANGED = "missing", "changed", "again", "unchanged"
RETAKEN = "retake"
# Engines whose jobs may run on machines that have no keys.
LENDING_ENGINES = ("ray",)
# Folder of earlier outputs in that of the batch.
TAKES_FOLDER_NAME = "takes"


@dataclass(frozen=True)
class RowPlan:
    """What a batch will do with one job.

    Attributes:
        row: the job.
        reason: "missing" (never finished), "changed" (done, but something has changed since),
            "again" (done, and all are wanted anew), "retake" (done, and a review wants it anew) or
            "unchanged" (done).
        is_due: whether it will be done now.
        fingerprint: hash of everything that the output depends on.
        seconds: estimated time of the work, s.
        bytes: estimated size of the output.
        warnings: what of the scene will be converted, dropped or replaced.
    """

    row: BatchRow
    reason: str
    is_due: bool
    fingerprint: str
    seconds: float
    bytes: int
    warnings: tuple[str, ...]


@dataclass(frozen=True)
class BatchResult:
    """What became of a batch.

    Attributes:
        folder: folder of the outputs.
        done: ids of the jobs that were done now.
        failed: reason of each failure, by the job's id.
        kept: ids of the jobs that were done before.
        changed: ids of those among them whose files, options or actor have changed since.
        summary: page about all jobs.
        seconds: duration, s.
    """

    folder: Path
    done: tuple[str, ...]
    failed: Mapping[str, str]
    kept: tuple[str, ...]
    changed: tuple[str, ...]
    summary: Path
    seconds: float


class InvalidTableError(DubfewError):
    """Jobs of a table cannot be done, so that none was begun.

    Attributes:
        problems: a line for each.
    """

    def __init__(self, message: str, problems: Sequence[str]) -> None:
        super().__init__(message)
        self.problems = tuple(problems)


@document_options(BatchOptions)
def run_batch(
    table: Path | str,
    folder: Path | str,
    options: BatchOptions | None = None,
    *,
    registry: Registry | None = None,
    on_plan: Callable[[Sequence[RowPlan]], None] | None = None,
    progress: ProgressCallback = no_progress,
    **overrides: Any,
) -> BatchResult:
    """Do the jobs of a table that are not done yet, each in a process of its own.

    All jobs are checked before the first one begins. A failure stops no other job. A batch that was
    interrupted or killed goes on where it was: finished outputs stay as they are.

    Args:
        table: table of jobs, see `read_table`.
        folder: folder of the outputs; it also holds records, logs and the summary.
        options: the options below as one object; those given as keywords override it.
        registry: registry that holds the actors; default: the user's own.
        on_plan: function that is called with what will be done, before the work begins. An
            exception that it raises prevents the work.
        progress: function that is called with the progress of the whole batch.

    Returns:
        What became of the jobs.

    Raises:
        InvalidTableError: Jobs cannot be done; nothing was begun.
        DubfewError: The table cannot be read, no job fits ``only``, or another batch works in the
            folder.
        MissingDependencyError: YAML or Ray is used, and its package is not installed.
    """
    options = merge_options(BatchOptions, options, overrides)
    folder, registry = Path(folder).absolute(), registry or Registry()
    began = time.monotonic()
    # All problems are collected before the first is raised, so that one call shows a user
    # everything that is to be mended.
    rows, problems = read_table(Path(table))
    if options.only is not None:
        rows = [row for row in rows if fnmatch.fnmatchcase(row.id, options.only)]
        if not rows and not problems:
            raise DubfewError(f"no job fits --only {options.only!r}")
    state = BatchState(folder)
    decisions = None if options.retakes is None else read_decisions(options.retakes)
    plans = [*_plan_rows(rows, folder, state, options, registry, decisions, problems)]
    _check_whole(plans, folder, problems)
    if problems:
        number = count_things(len(problems), "problem")
        raise InvalidTableError(
            f"{table} has {number}, and nothing was begun: {problems[0]}",
            problems,
        )
    if on_plan is not None:
        on_plan(plans)
    # From here on something is written; a check leaves nothing behind.
    if options.check:
        return _make_result(plans, {}, folder, began)
    state.folder.mkdir(parents=True, exist_ok=True)
    try:
        # Two batches would overwrite each other's records. A lock of the system's is released by a
        # process that is killed, too.
        with FileLock(state.folder / "batch.lock", timeout=0):
            state.save_hashes()
            state.write_rows([plan.row for plan in plans])
            if decisions is not None:
                _record_decisions(plans, decisions, folder, registry)
                _keep_takes([plan for plan in plans if plan.reason == RETAKEN], folder)
            outcomes = _do_rows(plans, folder, state, options, registry, progress)
            records = {plan.row.id: state.read(plan.row) for plan in plans}
            write_summary(folder / SUMMARY_NAME, plans, records, state)
    except Timeout:
        raise DubfewError(f"another batch works in {folder}: wait for it") from None
    return _make_result(plans, outcomes, folder, began)


def _plan_rows(
    rows: Sequence[BatchRow],
    folder: Path,
    state: BatchState,
    options: BatchOptions,
    registry: Registry,
    decisions: Decisions | None,
    problems: list[str],
) -> list[RowPlan]:
    """Check every job, and decide whether it is due. Problems are added to the list."""
    plans = []
    for row in rows:
        try:
            plans.append(_plan_row(row, folder, state, options, registry, decisions))
        except (DubfewError, OSError) as error:
            problems.append(f"{row.place} ({row.id}): {' '.join(str(error).split())}")
    return plans


def _plan_row(
    row: BatchRow,
    folder: Path,
    state: BatchState,
    options: BatchOptions,
    registry: Registry,
    decisions: Decisions | None,
) -> RowPlan:
    """Check one job, and decide whether it is due.

    Raises:
        DubfewError: The job would fail.
    """
    record, out = state.read(row), folder / row.out
    # A record says that the file of this name is the batch's own.
    check_job(row.job, out, registry, overwrite=record is not None)
    made = row.job.make_options(out=out, overwrite=record is not None)
    if row.job.kind == "dub":
        assert row.job.video is not None
        assert row.job.audio is not None
        plan = api.plan_dub(row.job.video, row.job.audio, made, registry=registry)
        rendering, seconds = plan.rendering, plan.seconds
    elif row.job.cast is not None:
        roles = read_cast(row.job.cast).roles
        # The sound comes from the lines, whatever the scene has.
        alone = replace(made, drive="self")
        rendering = api.plan_render(roles[0].actor, alone, registry=registry)
        seconds = rendering.seconds * len(roles)
    else:
        assert row.job.actor is not None
        rendering = api.plan_render(row.job.actor, made, registry=registry)
        seconds = rendering.seconds
    # Of the inputs alone: an output that a user has graded since still counts as done.
    fingerprint = state.fingerprint(row, registry)
    if record is None or record.state != DONE or not out.exists():
        reason = MISSING
    elif record.fingerprint != fingerprint:
        reason = CHANGED
    else:
        reason = AGAIN if options.everything else UNCHANGED
    warnings = rendering.warnings
    if reason != MISSING and decisions is not None and decisions.verdict(row.id, out) == RETAKE:
        if reason != CHANGED:
            warnings = (*warnings, "nothing has changed since its take: the retake will be alike")
        reason = RETAKEN
    is_due = reason in (MISSING, AGAIN, RETAKEN) or (
        reason == CHANGED and (options.modified_only or options.everything)
    )
    # As many bytes a second as the scene has. The floor is one frame at 25 fps: a scene of unknown
    # length must not divide by zero.
    share = rendering.output_seconds / max(rendering.scene_seconds, 0.04)
    size = round(rendering.scene.stat().st_size * share)
    return RowPlan(row, reason, is_due, fingerprint, seconds, size, warnings)


def take_path(folder: Path, out: Path, sha256: str) -> Path:
    """Return where an earlier output of a job is kept.

    Args:
        folder: folder of the batch.
        out: the job's output, relative to it.
        sha256: SHA-256 of the earlier output.
    """
    return folder / TAKES_FOLDER_NAME / out.with_name(f"{out.stem}-{sha256[:8]}{out.suffix}")


def _keep_takes(plans: Sequence[RowPlan], folder: Path) -> None:
    """Keep outputs that will be replaced; a link to the same content, where the disk has links."""
    for plan in plans:
        out = folder / plan.row.out
        kept = take_path(folder, plan.row.out, sha256_file(out))
        kept.parent.mkdir(parents=True, exist_ok=True)
        for source, target in ((out, kept), (credentials_path(out), credentials_path(kept))):
            if source.exists() and not target.exists():
                try:
                    os.link(source, target)
                except OSError:
                    shutil.copyfile(source, target)


def _record_decisions(
    plans: Sequence[RowPlan], decisions: Decisions, folder: Path, registry: Registry
) -> None:
    """Write the decisions to the audit log, each file of them once."""
    log = registry.audit()
    if log is not None and log.has_event("review", "decisions_sha256", decisions.sha256):
        return
    for plan in plans:
        verdict = decisions.verdict(plan.row.id, folder / plan.row.out)
        if not verdict:
            continue
        for actor in list_job_actors(plan.row.job):
            registry.open(actor).record_event(
                "review",
                output_sha256=decisions.by_id[plan.row.id].sha256,
                verdict=verdict,
                decisions_sha256=decisions.sha256,
            )


def _check_whole(plans: Sequence[RowPlan], folder: Path, problems: list[str]) -> None:
    """Check what concerns all jobs together: names of outputs, and space on the disk."""
    taken: dict[str, str] = {}
    for plan in plans:
        # Many file systems do not tell upper case from lower.
        name = str(plan.row.out).lower()
        if name in taken:
            problems.append(
                f"{plan.row.place} ({plan.row.id}): {plan.row.out} is the output of "
                f"{taken[name]!r} as well"
            )
        taken[name] = plan.row.id
    needed = sum(plan.bytes for plan in plans if plan.is_due)
    # The folder may not exist yet; its nearest parent that does lies on the same disk.
    place = next(each for each in (folder, *folder.parents) if each.exists())
    free = shutil.disk_usage(place).free
    if needed and free < needed + SPARE_BYTES:
        problems.append(
            f"the outputs need about {needed / 1e9:.1f} GB, and {place} has {free / 1e9:.1f} GB "
            "free: make room, or choose another folder"
        )


def _do_rows(
    plans: Sequence[RowPlan],
    folder: Path,
    state: BatchState,
    options: BatchOptions,
    registry: Registry,
    progress: ProgressCallback,
) -> dict[str, RowOutcome]:
    """Do the jobs that are due, and those again that died, as often as they may be tried."""
    run_jobs = CLIP_EXECUTORS.load(options.engine)
    due = [plan for plan in plans if plan.is_due]
    # Other machines have no keys. A dub learns a new actor, who is stored where it is done.
    lends = options.engine in LENDING_ENGINES
    lender = ActorLender(
        {p.row.id: p.row.job for p in due if lends and p.row.job.kind == "render"}, registry
    )
    for plan in plans:
        # What a command that was killed has left.
        unsigned_path(folder / plan.row.out).unlink(missing_ok=True)
    tell = _make_teller(options.events)
    # Long jobs first, so that the last one does not keep the others' processors waiting.
    due.sort(key=lambda plan: -plan.seconds)
    total = sum(plan.seconds for plan in due)
    # The progress of a process is in units; a job has as many of them as its share of the whole
    # time.
    weights = {
        plan.row.id: max(1, round(PROGRESS_UNITS * len(due) * plan.seconds / max(total, 1e-9)))
        for plan in due
    }
    clock = _BatchClock(sum(weights.values()), len(due), progress, tell)
    tell("start", jobs=len(due), kept=len(plans) - len(due), estimated_seconds=round(total))
    outcomes: dict[str, RowOutcome] = {}
    attempts = dict.fromkeys(weights, 0)
    for _ in range(options.retries + 1):
        if not due:
            break
        jobs = [_make_job(plan, folder, state, options, registry, weights, lends) for plan in due]
        for plan in due:
            attempts[plan.row.id] += 1
            # Written before the work: a record that still says "begun" tells that the computer
            # stopped in between.
            state.write(
                plan.row, RowRecord(BEGUN, plan.fingerprint, attempts=attempts[plan.row.id])
            )
            tell("begin", id=plan.row.id, attempt=attempts[plan.row.id])
        again: list[RowPlan] = []
        # Closing ends the processes also where a callback raises, as on Ctrl-C.
        with closing(
            run_jobs(
                jobs,
                options.jobs,
                clock.advance,
                make_worker=BatchWorker,
                answer=lender.answer if lends else refuse_question,
            )
        ) as results:
            for number, outcome in results:
                plan = due[number]
                name, tries = plan.row.id, attempts[plan.row.id]
                if jobs[number].lent and not outcome.error:
                    outcome = _publish(lender, plan, folder, outcome)
                record = RowRecord(
                    FAILED if outcome.error else DONE,
                    plan.fingerprint,
                    outcome.result,
                    outcome.error,
                    tries,
                    round(outcome.seconds, 1),
                )
                state.write(plan.row, record)
                outcomes[name] = outcome
                if not outcome.error:
                    tell("done", id=name, output=str(plan.row.out), seconds=record.seconds)
                    clock.finish_one()
                elif outcome.may_retry and tries <= options.retries:
                    tell("retry", id=name, error=outcome.error)
                    again.append(plan)
                else:
                    tell("failed", id=name, error=outcome.error)
                    clock.finish_one()
        due = again
    failed = sum(bool(outcome.error) for outcome in outcomes.values())
    tell("end", done=len(outcomes) - failed, failed=failed)
    return outcomes


def _publish(lender: ActorLender, plan: RowPlan, folder: Path, outcome: RowOutcome) -> RowOutcome:
    """Sign, log and publish an output that another machine has rendered."""
    try:
        result = lender.publish(plan.row.id, folder / plan.row.out, outcome.result)
    except DubfewError as error:
        return replace(outcome, result={}, error=" ".join(str(error).split()))
    return replace(outcome, result=result)


def _make_job(
    plan: RowPlan,
    folder: Path,
    state: BatchState,
    options: BatchOptions,
    registry: Registry,
    weights: Mapping[str, int],
    lends: bool,
) -> RowJob:
    """Make the plain values that a process needs."""
    row, log = plan.row, state.log_path(plan.row)
    log.parent.mkdir(parents=True, exist_ok=True)
    report = folder / "reports" / f"{row.id}.html" if options.reports else None
    if report is not None:
        report.parent.mkdir(exist_ok=True)
    return RowJob(
        row.id,
        row.job.to_json(),
        str(folder / row.out),
        str(log),
        str(report or ""),
        str(registry.home),
        weights[row.id],
        lends and row.job.kind == "render",
    )


class _BatchClock:
    """Progress of a whole batch, from the units that its processes report."""

    def __init__(
        self, total: int, count: int, progress: ProgressCallback, tell: Callable[..., None]
    ) -> None:
        self._total, self._count = max(total, 1), count
        self._units, self._finished = 0, 0
        self._began = time.monotonic()
        self._progress, self._tell = progress, tell

    def advance(self, units: int) -> None:
        """Count units that were done, and report."""
        if units:
            # Jobs that are tried again report their units again.
            self._units = min(self._units + units, self._total - 1)
            self._report()

    def finish_one(self) -> None:
        """Count a job that has ended."""
        self._finished += 1
        self._report()

    def _report(self) -> None:
        fraction = 1.0 if self._finished == self._count else self._units / self._total
        passed = time.monotonic() - self._began
        # The first two per cent are mostly the start of processes, which says nothing about the
        # rest.
        left = passed * (1 - fraction) / fraction if fraction > 0.02 else None
        self._progress(
            Progress("batch", self._finished, self._count, fraction=fraction, seconds_left=left)
        )
        self._tell(
            "progress",
            fraction=round(fraction, 4),
            seconds_left=None if left is None else round(left),
        )


def _make_teller(path: Path | str | None) -> Callable[..., None]:
    """Make the function that appends events to a file."""

    def tell(event: str, **fields: Any) -> None:
        if path is not None:
            stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
            line = json.dumps({"event": event, "time": stamp, **fields}, ensure_ascii=False)
            # Opened anew for each line: another program may follow or rotate the file meanwhile.
            with open(path, "a", encoding="utf-8") as file:
                file.write(line + "\n")

    return tell


def _make_result(
    plans: Sequence[RowPlan], outcomes: Mapping[str, RowOutcome], folder: Path, began: float
) -> BatchResult:
    return BatchResult(
        folder,
        tuple(name for name, outcome in outcomes.items() if not outcome.error),
        {name: outcome.error for name, outcome in outcomes.items() if outcome.error},
        tuple(plan.row.id for plan in plans if not plan.is_due),
        tuple(plan.row.id for plan in plans if plan.reason == CHANGED and not plan.is_due),
        folder / SUMMARY_NAME,
        time.monotonic() - began,
    )
