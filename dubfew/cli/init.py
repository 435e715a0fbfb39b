"""``dubfew init``: a folder to begin a production with."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dubfew.cli.console import print_result, report_errors
from dubfew.cli.options import JsonOption


@report_errors
def init(
    folder: Annotated[
        Path, typer.Argument(metavar="FOLDER", help="The new project's folder.")
    ] = Path("."),
    as_json: JsonOption = False,
) -> None:
    """Write a new project: a config file, a consent record to fill in, and folders."""
    from dubfew.project import create_project

    written = create_project(folder)
    text = f"wrote {', '.join(path.name for path in written[:3])} into {folder}: read README.md"
    print_result({"written": written}, as_json=as_json, text=text)
