"""``dubfew verify``: what the marks of a file say."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dubfew.cli.console import EXIT_FAILURE, print_result, progress_bar, report_errors
from dubfew.cli.options import JsonOption


@report_errors
def verify(
    path: Annotated[Path, typer.Argument(metavar="FILE", help="A video.")],
    trust: Annotated[
        Path | None,
        typer.Option(metavar="PEM", help="Certificates whose signers count as known."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Read a file's Content Credentials and watermark; code 1 unless both are intact."""
    from dubfew.marks.verification import verify_marks as examine

    with progress_bar(as_json=as_json) as progress:
        result = examine(path, trust=trust, progress=progress)
    print_result(result, as_json=as_json, text="\n".join(result.findings))
    if not result.intact:
        raise typer.Exit(EXIT_FAILURE)
