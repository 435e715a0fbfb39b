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
VideoArgument = Annotated[Path, typer.Argument(metavar="VIDEO", help="Footage of one person.")]
ActorArgument = Annotated[str, typer.Argument(metavar="ID", help="The actor's id.")]
# Options of `dubfew adapt` that other commands have as well.
DeviceOption = Annotated[str, make_flag(AdaptOptions, "device")]
PriorOption = Annotated[str | None, make_flag(AdaptOptions, "prior")]
SeedOption = Annotated[int, make_flag(AdaptOptions, "seed")]
