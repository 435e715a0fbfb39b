"""``dubfew turnover``: folders for compositors."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dubfew.cli.console import print_result, report_errors
from dubfew.cli.options import JsonOption, OverwriteOption
from dubfew.cli.progress_display import ProgressMode, ProgressOption, show_progress


@report_errors
def turnover(
    folder: Annotated[
        Path,
        typer.Argument(
            metavar="FOLDER", help="Folder of the outputs of 'dubfew batch' or 'dubfew conform'."
        ),
    ],
    out: Annotated[Path, typer.Option("--out", "-o", metavar="FOLDER", help="Folder to write to.")],
    only: Annotated[
        str | None,
        typer.Option(metavar="PATTERN", help="Shots to write, by their ids, such as 's01*'."),
    ] = None,
    st_maps: Annotated[
        bool,
        typer.Option(
            "--st-maps",
            help="Also write ST-maps of the painted faces, to a still window and back, as EXR.",
        ),
    ] = False,
    uv_maps: Annotated[
        bool,
        typer.Option(
            "--uv-maps",
            help="Also write UV maps of the painted faces, as they are in the dub, as EXR.",
        ),
    ] = False,
    overwrite: OverwriteOption = False,
    progress_mode: ProgressOption = ProgressMode.AUTO,
    as_json: JsonOption = False,
) -> None:
    """Write a folder for each shot: plate, dub, mattes, mouth motion, and facts as JSON."""
    from dubfew.review.turnover import write_turnover

    with show_progress(progress_mode, as_json=as_json) as progress:
        result = write_turnover(
            folder,
            out,
            only=only,
            st_maps=st_maps,
            uv_maps=uv_maps,
            overwrite=overwrite,
            progress=progress,
        )
    lines = [*result.notes, *(f"no output: {name}" for name in result.left_out)]
    lines.append(f"Done: {result.folder} ({len(result.shots)} shots)")
    print_result(result, as_json=as_json, text="\n".join(lines))
