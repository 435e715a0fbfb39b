"""``dubfew inspect``: what dubfew sees of a video, before any work."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dubfew.cli.console import print_result, report_errors
from dubfew.cli.options import JsonOption, OverwriteOption, VideoArgument
from dubfew.cli.progress_display import ProgressMode, ProgressOption, show_progress

if TYPE_CHECKING:
    from dubfew.reconstruction.inspection import VideoInspection


@report_errors
def inspect(
    video: VideoArgument,
    out: Annotated[
        Path,
        typer.Option(
            "--out", "-o", metavar="OUT", help="Output to plan for; its ending names the container."
        ),
    ] = Path("out.mp4"),
    codec: Annotated[
        str | None, typer.Option(metavar="C", help="Video encoder of that output.")
    ] = None,
    like_source: Annotated[
        bool, typer.Option("--like-source", help="Encode that output like the video.")
    ] = False,
    people: Annotated[
        bool,
        typer.Option(
            "--people/--no-people", help="Look for shots and people, which reads every frame."
        ),
    ] = True,
    report: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Also write a page (.html).")
    ] = None,
    overwrite: OverwriteOption = False,
    progress_mode: ProgressOption = ProgressMode.AUTO,
    as_json: JsonOption = False,
) -> None:
    """Show streams, color, clocks, people, and what a render would convert or drop."""
    if report is not None and report.suffix != ".html":
        raise typer.BadParameter("--report: a file name that ends in .html is needed")
    from dubfew.reconstruction.inspection import inspect_video
    from dubfew.utils.files import check_output_path

    if report is not None:
        check_output_path(report, video, overwrite=overwrite)
    with show_progress(progress_mode, as_json=as_json) as progress:
        result = inspect_video(
            video, out, codec=codec, like_source=like_source, people=people, progress=progress
        )
    if report is not None:
        result.save_html(report)
    print_result(result, as_json=as_json, text=lambda: _format_table(result))


def _format_table(result: VideoInspection) -> str:
    """Format an inspection as a table of titles and lines."""
    lines = result.describe()
    width = max(len(title) for title, _ in lines)
    return "\n".join(f"{title:<{width}}  {line}" for title, line in lines)
