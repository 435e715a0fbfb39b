"""``dubfew doctor``: check the installation."""

from __future__ import annotations

from typing import Annotated

import typer

from dubfew.cli.console import EXIT_FAILURE, print_result, report_errors
from dubfew.cli.options import JsonOption


@report_errors
def doctor(
    full: Annotated[
        bool,
        typer.Option("--full", help="Import every package and run the face tracker once (10 s)."),
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """List what is installed and what is missing, with the line that installs it."""
    from dubfew.doctor import check_installation

    report = check_installation(full=full)
    print_result(
        {"ok": report.ok, "verdict": report.verdict, "checks": report.checks},
        as_json=as_json,
        text="\n".join([*(check.format_line() for check in report.checks), "", report.verdict]),
    )
    if not report.ok:
        raise typer.Exit(EXIT_FAILURE)
