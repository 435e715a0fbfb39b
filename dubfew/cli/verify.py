"""``dubfew verify``: check the marks of a video."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dubfew.cli.console import EXIT_FAILURE, print_result, report_errors
from dubfew.cli.options import JsonOption
from dubfew.cli.progress_display import ProgressMode, ProgressOption, show_progress
from dubfew.progress import LOAD_STAGE, Progress


@report_errors
def verify(
    path: Annotated[Path, typer.Argument(metavar="FILE", help="Video to check.")],
    trust: Annotated[
        Path | None,
        typer.Option(metavar="PEM", help="Certificates of signers to trust."),
    ] = None,
    progress_mode: ProgressOption = ProgressMode.AUTO,
    as_json: JsonOption = False,
) -> None:
    """Check a video's Content Credentials and watermark; exit code 1 unless both are intact."""
    from dubfew.utils.files import check_input_file

    check_input_file(path)
    with show_progress(progress_mode, as_json=as_json) as progress:
        progress(Progress(LOAD_STAGE, 0))
        from dubfew.marks.verification import verify_marks

        result = verify_marks(path, trust=trust, progress=progress)
    print_result(result, as_json=as_json, text="\n".join(result.findings))
    if not result.intact:
        raise typer.Exit(EXIT_FAILURE)
