"""``dubfew review``: look at the outputs of a batch, and decide."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dubfew.cli.console import print_result, report_errors
from dubfew.cli.options import JsonOption
from dubfew.cli.progress_display import ProgressMode, ProgressOption, show_progress


@report_errors
def review(
    folder: Annotated[
        Path,
        typer.Argument(
            metavar="FOLDER", help="Folder of the outputs of 'dubfew batch' or 'dubfew conform'."
        ),
    ],
    markers: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Decisions that the page saved: write them as markers into the timelines of the "
            "folder, and no page.",
        ),
    ] = None,
    progress_mode: ProgressOption = ProgressMode.AUTO,
    as_json: JsonOption = False,
) -> None:
    """Make a page of all shots, with originals, takes and decisions.

    It works from a folder, without a server. 'batch --retakes' reads the decisions that it saves.
    """
    if markers is not None:
        from dubfew.review.markers import mark_timelines

        paths, count = mark_timelines(folder, markers)
        lines = [f"Timeline: {path}" for path in paths]
        print_result(
            {"timelines": paths, "markers": count},
            as_json=as_json,
            text="\n".join([*lines, f"Done: {count} markers"]),
        )
        return
    from dubfew.review.make import make_review

    with show_progress(progress_mode, as_json=as_json) as progress:
        result = make_review(folder, progress=progress)
    lines = [f"no output: {name}" for name in result.failed]
    lines += [
        f"Done: {result.page} ({result.shots} shots, {result.takes} takes)",
        "Next: save the decisions on the page, then dubfew batch ... --retakes FILE",
    ]
    print_result(result, as_json=as_json, text="\n".join(lines))
