"""``dubfew render``: make an actor speak."""

from __future__ import annotations

from typing import Annotated

import typer

from dubfew import api
from dubfew.cli.console import print_fields, progress_bar, report_errors
from dubfew.cli.option_flags import accept_options
from dubfew.cli.options import JsonOption
from dubfew.render.options import RenderOptions


@report_errors
@accept_options(RenderOptions)
def render(
    actor: Annotated[str, typer.Option(metavar="ID", help="Actor whose mouth is rendered.")],
    options: RenderOptions,
    as_json: JsonOption = False,
) -> None:
    """Make an actor speak new audio in any footage of theirs."""
    _check_combinations(options)
    with progress_bar(as_json=as_json) as progress:
        result = api.render(actor, options, progress=progress)
    print_fields(result, as_json=as_json)


def _check_combinations(options: RenderOptions) -> None:
    """Refuse flags that contradict each other, as wrong usage (exit code 2)."""
    if options.lossless and options.crf is not None:
        raise typer.BadParameter("--lossless has no quality to choose: leave out --crf")
    if (options.drive == "video") != (options.driver is not None):
        raise typer.BadParameter("--drive video and --driver FILE need each other")
    if options.transcript is not None and options.language is None:
        raise typer.BadParameter("--transcript FILE needs --language CODE")
    if options.transcript is not None and options.drive != "audio":
        raise typer.BadParameter("--transcript is the text of the audio: it needs --drive audio")
