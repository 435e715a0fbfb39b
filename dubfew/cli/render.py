"""``dubfew render``: make an actor speak."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dubfew import api
from dubfew.cli.console import print_result, report_errors
from dubfew.cli.option_flags import accept_options
from dubfew.cli.options import JsonOption, VerboseOption, complete_actor_id
from dubfew.cli.plans import print_plan
from dubfew.cli.progress_display import ProgressMode, ProgressOption, show_progress
from dubfew.cli.summaries import format_render
from dubfew.errors import DubfewError
from dubfew.render.corrections import check_corrections
from dubfew.render.options import RenderOptions
from dubfew.utils.counts import count_things
from dubfew.utils.language_tags import check_language_tag


@report_errors
@accept_options(RenderOptions)
def render(
    options: RenderOptions,
    actor: Annotated[
        str | None,
        typer.Argument(
            metavar="ID", help="Actor whose mouth is rendered.", autocompletion=complete_actor_id
        ),
    ] = None,
    named_actor: Annotated[
        str | None, typer.Option("--actor", metavar="ID", help="Another way to name the actor.")
    ] = None,
    cast: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Cast (.json or .yaml) in place of an actor: several actors of one scene, each "
            "with a face and lines. It needs a video.",
        ),
    ] = None,
    progress_mode: ProgressOption = ProgressMode.AUTO,
    verbose: VerboseOption = False,
    as_json: JsonOption = False,
) -> None:
    """Make an actor speak new audio in any footage of theirs."""
    if cast is not None:
        if actor is not None or named_actor is not None:
            raise typer.BadParameter("--cast names the actors: leave out the id")
        _render_cast(cast, options, progress_mode, as_json=as_json)
        return
    actor = _choose_actor(actor, named_actor)
    _check_combinations(options)
    with show_progress(progress_mode, as_json=as_json) as progress:
        on_plan = None if as_json else print_plan
        result = api.render(actor, options, on_plan=on_plan, progress=progress)
    print_result(
        result,
        as_json=as_json,
        text=lambda: format_render(result, preview=options.preview, verbose=verbose),
    )


def _render_cast(
    cast: Path, options: RenderOptions, progress_mode: ProgressMode, *, as_json: bool
) -> None:
    """Render several mouths in one pass."""
    with show_progress(progress_mode, as_json=as_json) as progress:
        result = api.render_cast(cast, options, progress=progress)
    lines = [f"warning: {note}" for note in result.note.split("; ") if note]
    painted = ", ".join(
        f"face {face} in {count}"
        for face, count in zip(result.faces, result.edited_frames, strict=True)
    )
    lines.append(
        f"Done: {result.output} ({count_things(result.frames, 'frame')}; painted: {painted})"
    )
    print_result(result, as_json=as_json, text="\n".join(lines))


def _choose_actor(argument: str | None, option: str | None) -> str:
    """Return the actor who was named by position or by ``--actor``; neither is wrong usage."""
    if argument is not None and option is not None and argument != option:
        raise typer.BadParameter(f"two actors are named, {argument!r} and {option!r}: name one")
    chosen = argument if argument is not None else option
    if chosen is None:
        raise typer.BadParameter(
            "name the actor, as in 'dubfew render mary'; 'dubfew actors list' shows all"
        )
    return chosen


def _check_combinations(options: RenderOptions) -> None:
    """Refuse flags that contradict each other, as wrong usage (exit code 2)."""
    if options.lossless and options.crf is not None:
        raise typer.BadParameter("--lossless has no quality to choose: leave out --crf")
    if (options.drive == "video") != (options.driver is not None):
        raise typer.BadParameter("--drive video and --driver FILE need each other")
    if options.motion is not None and (
        options.drive != "audio" or options.transcript is not None or options.recognise
    ):
        raise typer.BadParameter(
            "--motion has the mouth's motion already: leave out --drive, --transcript and "
            "--recognise, which 'dubfew motion' takes"
        )
    try:
        check_corrections(options)
        if options.language is not None:
            check_language_tag(options.language)
    except DubfewError as error:
        raise typer.BadParameter(str(error)) from None
    if options.transcript is not None and options.language is None:
        raise typer.BadParameter("--transcript FILE needs --language CODE")
    if options.transcript is not None and options.drive != "audio":
        raise typer.BadParameter("--transcript is the text of the audio: it needs --drive audio")
