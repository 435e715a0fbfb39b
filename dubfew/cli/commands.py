"""What all of dubfew's groups of commands have in common."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup


class _FastHelpMixin:
    """A command whose ``--help`` is false rather than nothing when it is not given.

    Typer has pydantic look at values that are not there, and importing pydantic takes as long as
    all the rest of ``dubfew actors list``.
    """

    def get_help_option(self, ctx: Any) -> Any:
        option = super().get_help_option(ctx)  # type: ignore[misc]
        if option is not None:
            option.default = False
        return option


class _FastHelpCommand(_FastHelpMixin, TyperCommand):
    pass


class _FastHelpGroup(_FastHelpMixin, TyperGroup):
    pass


class CommandGroup(typer.Typer):
    """A group of commands.

    Plain help: rich's boxes double the time that --help takes. Tracebacks are job()'s affair.
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
        """As Typer's, for a command of this kind."""
        return super().command(name, cls=_FastHelpCommand, **settings)
