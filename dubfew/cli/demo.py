"""``dubfew demo``: adapt and render with bundled files."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dubfew.cli.console import print_fields, report_errors
from dubfew.cli.options import JsonOption, OverwriteOption
from dubfew.cli.progress_display import ProgressMode, ProgressOption, show_progress


@report_errors
def demo(
    out: Annotated[
        Path, typer.Option("--out", "-o", metavar="FOLDER", help="Folder for the results.")
    ] = Path("demo"),
    overwrite: OverwriteOption = False,
    progress_mode: ProgressOption = ProgressMode.AUTO,
    as_json: JsonOption = False,
) -> None:
    """Adapt to the bundled clip of a synthetic person and dub it with the bundled audio."""
    from dubfew.demo import run_demo

    with show_progress(progress_mode, as_json=as_json) as progress:
        result = run_demo(out, overwrite=overwrite, progress=progress)
    print_fields(result, as_json=as_json)
