"""Base classes of all commands and groups of commands."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

# Number of characters that no sentence of help has.
UNLIMITED_LENGTH = 10_000


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

    def get_short_help_str(self, limit: int = 0) -> str:
        """Return the first sentence for a list of commands; long ones are wrapped, never cut."""
        return str(super().get_short_help_str(limit=UNLIMITED_LENGTH))  # type: ignore[misc]


class _FastHelpCommand(_FastHelpMixin, TyperCommand):
    pass


class FastHelpGroup(_FastHelpMixin, TyperGroup):
    """Group of commands as `CommandGroup` makes it."""


class CommandGroup(typer.Typer):
    """A group of commands with plain help.

    Boxes and colors by rich would double the time of ``--help``. Typer's own tracebacks are off,
    because `dubfew.cli.console.report_errors` turns exceptions into one line.

    Args:
        help: one sentence on the group, for ``--help``.
        cls: class of the group.
        add_completion: True to offer ``--install-completion`` and ``--show-completion``.
    """

    def __init__(
        self, help: str, *, cls: type[FastHelpGroup] = FastHelpGroup, add_completion: bool = False
    ) -> None:
        super().__init__(
            cls=cls,
            help=help,
            no_args_is_help=True,
            rich_markup_mode=None,
            pretty_exceptions_enable=False,
            add_completion=add_completion,
        )

    def command(self, name: str | None = None, **settings: Any) -> Callable[[Any], Any]:
        """Make a decorator that adds a command, as Typer does.

        Args:
            name: word of the command; default: the function's name.
            **settings: further arguments of ``typer.Typer.command``.
        """
        return super().command(name, cls=_FastHelpCommand, **settings)
