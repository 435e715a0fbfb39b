"""``dubfew compare``: several outputs in one video."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

from dubfew.cli.console import print_result, report_errors
from dubfew.cli.options import JsonOption, OverwriteOption
from dubfew.cli.progress_display import ProgressMode, ProgressOption, show_progress
from dubfew.utils.counts import count_things


class ComparisonView(str, Enum):
    """Ways to compare; the library has the same words."""

    SIDE = "side"
    WIPE = "wipe"
    DIFFERENCE = "difference"


@report_errors
def compare(
    videos: Annotated[
        list[Path],
        typer.Argument(
            metavar="VIDEO", help="Two to six videos of one scene; the first is compared with."
        ),
    ],
    out: Annotated[Path, typer.Option("--out", "-o", metavar="FILE", help="Video to write.")],
    label: Annotated[
        list[str] | None,
        typer.Option(
            metavar="TEXT", help="Name of a video, repeated in their order; default: file names."
        ),
    ] = None,
    view: Annotated[
        ComparisonView,
        typer.Option(
            metavar="VIEW",
            help="side: beside each other; wipe: each against the first, behind a moving line; "
            "difference: each minus the first, eight times enlarged around gray.",
        ),
    ] = ComparisonView.SIDE,
    zoom: Annotated[
        bool, typer.Option("--zoom/--no-zoom", help="Show the mouths, enlarged, below.")
    ] = True,
    overwrite: OverwriteOption = False,
    progress_mode: ProgressOption = ProgressMode.AUTO,
    as_json: JsonOption = False,
) -> None:
    """Write one video that compares others, with the sound of each as a track of its own."""
    from dubfew.evaluate.side_by_side import write_comparison
    from dubfew.utils.files import check_input_file, check_output_path

    for path in videos:
        check_input_file(path)
    check_output_path(out, *videos, overwrite=overwrite)
    with show_progress(progress_mode, as_json=as_json) as progress:
        frames = write_comparison(
            videos, out, labels=label or (), view=view.value, zoom=zoom, progress=progress
        )
    print_result(
        {"output": out, "frames": frames},
        as_json=as_json,
        text=f"Done: {out} ({count_things(frames, 'frame')})",
    )
