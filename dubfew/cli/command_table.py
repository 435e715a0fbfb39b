"""The commands of ``dubfew`` in the order of the work, and apps made of some of them.

Building all commands takes longer than most errors of usage, so a command line of one command
builds that one alone.
"""

from __future__ import annotations

from collections.abc import Collection
from importlib import import_module
from typing import Annotated, Any

import typer

from dubfew.cli.commands import CommandGroup, FastHelpGroup
from dubfew.version import __version__

# Module of this package and name in it of every command and group of commands, by the word that
# calls it. `dubfew --help` lists them in this order, which is that of the work.
COMMANDS = {
    "dub": "dub:dub",
    "adapt": "adapt:adapt",
    "render": "render:render",
    "actors": "exchange:actors_app",  # adds its commands to those of `dubfew.cli.actors`
    "consent": "consent:consent_app",
    "motion": "motion:motion",
    "edit": "motion:edit",
    "fit": "fit:fit",
    "batch": "batch:batch",
    "conform": "conform:conform",
    "review": "review:review",
    "turnover": "turnover:turnover",
    "speakers": "speakers:speakers",
    "sequence": "sequence:sequence_app",
    "evaluate": "evaluate:evaluate",
    "compare": "compare:compare",
    "study": "study:study_app",
    "inspect": "inspect:inspect",
    "track": "track:track",
    "verify": "verify:verify",
    "disclose": "disclose:disclose",
    "audit": "audit:audit_app",
    "app": "page:app_page",
    "serve": "serve:serve_app",
    "init": "init:init",
    "demo": "demo:demo",
    "doctor": "doctor:doctor",
    "assets": "assets:assets_app",
    "speech": "speech:speech_app",
    "prior": "prior:prior_app",
    "bench": "bench:bench_app",
}


class _WorkOrderGroup(FastHelpGroup):
    """The group of all commands."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Return the names in the order of the work; names that it lacks come last."""
        names = super().list_commands(ctx)
        return sorted(names, key=[*COMMANDS, *names].index)


def make_app(names: Collection[str]) -> CommandGroup:
    """Make the ``dubfew`` command with some of its commands.

    The other commands are there by name alone, so that a mistyped word finds the nearest one.
    Options of the group, such as the completion of a shell, come with all commands only.

    Args:
        names: words of the commands that can be run, of `COMMANDS`.
    """
    app = CommandGroup(
        "Learn an actor from a few seconds of footage, then make them speak new audio.",
        cls=_WorkOrderGroup,
        add_completion=len(names) == len(COMMANDS),
    )
    app.callback()(_describe_dubfew)
    for word, place in COMMANDS.items():
        if word not in names:
            app.command(word)(_stand_in)
            continue
        module, name = place.split(":")
        part = getattr(import_module(f"dubfew.cli.{module}"), name)
        if isinstance(part, typer.Typer):
            app.add_typer(part, name=word)
        else:
            app.command(word)(part)
    return app


def _stand_in() -> None:
    """Hold the place of a command that is not built."""


def _print_version(value: bool) -> None:
    if value:
        print(f"dubfew {__version__}")
        raise typer.Exit


def _describe_dubfew(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version."
        ),
    ] = False,
) -> None:
    """Learn an actor from a few seconds of footage, then make them speak new audio."""
