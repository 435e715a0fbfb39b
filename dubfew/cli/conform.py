"""``dubfew conform``: a timeline and its lines."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dubfew.cli.console import print_result, report_errors
from dubfew.cli.option_flags import accept_options
from dubfew.cli.options import JsonOption
from dubfew.cli.plans import print_plan
from dubfew.cli.progress_display import ProgressMode, ProgressOption, format_clock, show_progress
from dubfew.conform.options import ConformOptions

if TYPE_CHECKING:
    from dubfew.conform.run import ConformResult


@report_errors
@accept_options(ConformOptions)
def conform(
    timeline: Annotated[
        Path,
        typer.Argument(metavar="TIMELINE", help="The program: .edl (CMX 3600), .xml or .otio."),
    ],
    lines: Annotated[
        Path,
        typer.Option(metavar="FILE", help="Its lines: a cue sheet (.csv) or subtitles."),
    ],
    options: ConformOptions,
    role: Annotated[
        list[str] | None,
        typer.Option(
            metavar="CHARACTER=ID",
            help="Actor of a character of the cue sheet; repeat for each. Default: the actor of "
            "the character's name.",
        ),
    ] = None,
    out: Annotated[
        Path, typer.Option("--out", "-o", metavar="FOLDER", help="Folder of the new shots.")
    ] = Path("conformed"),
    progress_mode: ProgressOption = ProgressMode.AUTO,
    as_json: JsonOption = False,
) -> None:
    """Render the shots of a timeline that have lines, and write a timeline that shows them.

    All others stay as they are. Run the same command again to go on after an interruption.
    """
    from dubfew.conform.run import InvalidConformError, conform_timeline

    actors = _parse_roles(role or [])
    with show_progress(progress_mode, as_json=as_json) as progress:
        try:
            result = conform_timeline(
                timeline,
                lines,
                out,
                options,
                actors=actors,
                on_plan=None if as_json else print_plan,
                progress=progress,
            )
        except InvalidConformError as error:
            # The first problem is in the error's own line.
            for problem in error.problems[1:]:
                print(f"also: {problem}", file=sys.stderr)
            raise
    print_result(result, as_json=as_json, text=lambda: _format_result(result))
    if result.failed:
        raise typer.Exit(1)


def _parse_roles(words: list[str]) -> dict[str, str]:
    """Read ``CHARACTER=ID``."""
    actors: dict[str, str] = {}
    for word in words:
        name, separator, actor = word.partition("=")
        if not (separator and name and actor) or name in actors:
            raise typer.BadParameter(f"--role: {word!r} is not CHARACTER=ID with a new character")
        actors[name] = actor
    return actors


def _format_result(result: ConformResult) -> str:
    """Describe what became of a conform, failures first."""
    lines = [f"failed  {name}: {error}" for name, error in result.failed.items()]
    if result.changed:
        lines.append(
            f"warning: {len(result.changed)} shots are done, and have changed since "
            f"({', '.join(result.changed[:5])}): --modified-only does them anew"
        )
    if not result.timelines:
        return "\n".join([*lines, "Checked: all shots can be done"])
    lines.append(
        f"Done: {len(result.done)} shots in {format_clock(result.seconds)}, {len(result.kept)} "
        f"were done before, {len(result.failed)} failed, {result.untouched} stay as they are"
    )
    for name, (loudness, peak) in result.loudness.items():
        level = "silent" if loudness is None else f"{loudness:.1f} LUFS"
        lines.append(f"Sound of {name}: {level}" + ("" if peak is None else f", {peak:.1f} dBTP"))
    lines += [f"Timeline: {path}" for path in result.timelines]
    lines.append(f"Look at: {result.summary}")
    return "\n".join(lines)
