"""Base classes of all commands and groups of commands."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup


class _FastHelpMixin:
    """A command whose ``--help`` has the default False instead of None.

    Typer checks missing values with pydantic, and importing pydantic takes as long as all the rest
    of ``dubfew actors list``.
    """

    def get_help_option(self, ctx: Any) -> Any:
        """Return Typer's ``--help`` option with another default."""
        option = super().get_help_option(ctx)  # type: ignore[misc]
        if option is not None:
            option.default = False
        return option


class _FastHelpCommand(_FastHelpMixin, TyperCommand):
    pass


class _FastHelpGroup(_FastHelpMixin, TyperGroup):
    pass


class CommandGroup(typer.Typer):
    """A group of commands with plain help.

    Boxes and colors by rich would double the time of ``--help``. Typer's own tracebacks are off,
    because `dubfew.cli.console.report_errors` turns exceptions into one line.

    Args:
        help: one sentence on the group, for ``--help``.
    """

    def __init__(self, help: str) -> None:
        super().__init__(
            cls=_FastHelpGroup,
            help=help,
            no_args_is_help=True,
            rich_markup_mode=None,
            pretty_exceptions_enable=False,
            add_completion=False,
        )

    def command(self, name: str | None = None, **settings: Any) -> Callable[[Any], Any]:
        """Make a decorator that adds a command, as Typer does.

        Args:
            name: word of the command; default: the function's name.
            **settings: further arguments of ``typer.Typer.command``.
        """
        return super().command(name, cls=_FastHelpCommand, **settings)
