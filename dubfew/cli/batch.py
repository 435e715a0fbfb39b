"""``dubfew batch``: many jobs from one table."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dubfew.batch.options import BatchOptions
from dubfew.cli.console import print_result, report_errors
from dubfew.cli.option_flags import accept_options
from dubfew.cli.options import JsonOption
from dubfew.cli.progress_display import ProgressMode, ProgressOption, format_clock, show_progress

if TYPE_CHECKING:
    from dubfew.batch.run import BatchResult, RowPlan


@report_errors
@accept_options(BatchOptions)
def batch(
    table: Annotated[
        Path,
        typer.Argument(metavar="TABLE", help="Jobs, a row each: .csv, .jsonl, .json or .yaml."),
    ],
    options: BatchOptions,
    out: Annotated[
        Path, typer.Option("--out", "-o", metavar="FOLDER", help="Folder of the outputs.")
    ] = Path("batch"),
    progress_mode: ProgressOption = ProgressMode.AUTO,
    as_json: JsonOption = False,
) -> None:
    """Do the jobs of a table that are not done yet.

    All are checked before the first begins. A failure stops no other job, and the exit code is 1
    then. Run the same command again to go on after an interruption, and to try failures again.
    """
    from dubfew.batch.run import InvalidTableError, run_batch

    with show_progress(progress_mode, as_json=as_json) as progress:
        try:
            result = run_batch(
                table, out, options, on_plan=None if as_json else _print_plan, progress=progress
            )
        except InvalidTableError as error:
            # The first problem is in the error's own line.
            for problem in error.problems[1:]:
                print(f"also: {problem}", file=sys.stderr)
            raise
    print_result(result, as_json=as_json, text=lambda: _format_result(result, options.check))
    if result.failed:
        raise typer.Exit(1)


def _print_plan(plans: Sequence[RowPlan]) -> None:
    """Say on stderr what will be done."""
    due = [plan for plan in plans if plan.is_due]
    print(
        f"{len(due)} of {len(plans)} jobs to do, about "
        f"{format_clock(sum(plan.seconds for plan in due))} one after another",
        file=sys.stderr,
    )
    for plan in plans:
        for warning in plan.warnings if plan.is_due else ():
            print(f"{plan.row.id}: {warning}", file=sys.stderr)
    sys.stderr.flush()


def _format_result(result: BatchResult, only_checked: bool) -> str:
    """Describe what became of a batch, failures first."""
    lines = [f"failed  {name}: {error}" for name, error in result.failed.items()]
    if result.changed:
        lines.append(
            f"warning: {len(result.changed)} jobs are done, and have changed since "
            f"({', '.join(result.changed[:5])}): --modified-only does them anew"
        )
    if only_checked:
        return "\n".join([*lines, "Checked: all jobs can be done"])
    lines.append(
        f"Done: {len(result.done)} jobs in {format_clock(result.seconds)}, {len(result.kept)} "
        f"were done before, {len(result.failed)} failed"
    )
    lines.append(f"Look at: {result.summary}")
    return "\n".join(lines)
