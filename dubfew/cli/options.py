"""Arguments and options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dubfew.adapt.options import AdaptOptions
from dubfew.cli.option_flags import make_flag

JsonOption = Annotated[
    bool, typer.Option("--json", help="Print the result as one JSON object, the last line.")
]
VerboseOption = Annotated[
    bool, typer.Option("--verbose", "-v", help="Print every field of the result as well.")
]
OverwriteOption = Annotated[
    bool, typer.Option("--overwrite", help="Replace files of these names where they exist.")
]
VideoArgument = Annotated[Path, typer.Argument(metavar="VIDEO", help="Footage of one person.")]


def complete_actor_id(incomplete: str) -> list[str]:
    """Return the ids that begin with what was typed, for the completion of a shell."""
    from dubfew.errors import DubfewError
    from dubfew.registry.listing import list_default_revisions
    from dubfew.utils.paths import default_data_dir

    try:
        found = list_default_revisions(default_data_dir().absolute())
    except (DubfewError, OSError):  # a shell that completes words must not print errors
        return []
    return [each.actor for each in found if each.actor.startswith(incomplete)]


ActorArgument = Annotated[
    str,
    typer.Argument(metavar="ID", help="The actor's id.", autocompletion=complete_actor_id),
]
# Options of `dubfew adapt` that other commands have as well.
DeviceOption = Annotated[str, make_flag(AdaptOptions, "device")]
PriorOption = Annotated[str | None, make_flag(AdaptOptions, "prior")]
SeedOption = Annotated[int, make_flag(AdaptOptions, "seed")]
# For commands whose output can also be named by position, see `choose_output`.
OutputOption = Annotated[
    Path | None,
    typer.Option("--out", "-o", metavar="FILE", help="Another way to name the file to write."),
]


def choose_output(argument: Path | None, option: Path | None) -> Path | None:
    """Return the output that was named by position or by ``--out``, None if neither was given.

    Raises:
        typer.BadParameter: Both were given.
    """
    if argument is not None and option is not None:
        raise typer.BadParameter(
            f"the output is named twice, {argument} and {option}: name it once"
        )
    return argument or option


def parse_systems(words: list[str]) -> dict[str, Path]:
    """Read ``NAME=FOLDER`` words, for commands that take the outputs of several systems.

    Raises:
        typer.BadParameter: A word has another form, a name twice, or no folder.
    """
    systems: dict[str, Path] = {}
    for word in words:
        name, separator, folder = word.partition("=")
        if not (separator and name and folder) or name in systems:
            raise typer.BadParameter(f"--system: {word!r} is not NAME=FOLDER with a new name")
        if not Path(folder).is_dir():
            raise typer.BadParameter(f"--system: {folder} is not a folder")
        systems[name] = Path(folder)
    return systems
