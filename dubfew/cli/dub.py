"""``dubfew dub``: learn and render in one command."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dubfew import api
from dubfew.cli.console import print_result, report_errors
from dubfew.cli.option_flags import accept_options
from dubfew.cli.options import JsonOption, VerboseOption
from dubfew.cli.plans import print_plan
from dubfew.cli.progress_display import ProgressMode, ProgressOption, show_progress
from dubfew.cli.summaries import format_dub
from dubfew.dubbing.options import DubOptions


@report_errors
@accept_options(DubOptions)
def dub(
    scene: Annotated[Path, typer.Argument(metavar="SCENE", help="Video to dub.")],
    sound: Annotated[Path, typer.Argument(metavar="SOUND", help="New speech, a sound file.")],
    options: DubOptions,
    progress_mode: ProgressOption = ProgressMode.AUTO,
    verbose: VerboseOption = False,
    as_json: JsonOption = False,
) -> None:
    """Dub a scene: learn its actor from the scene itself, then make them speak new audio."""
    with show_progress(progress_mode, as_json=as_json) as progress:
        on_plan = None if as_json else print_plan
        result = api.dub(scene, sound, options, on_plan=on_plan, progress=progress)
    print_result(
        result,
        as_json=as_json,
        text=lambda: format_dub(result, preview=options.preview, verbose=verbose),
    )
