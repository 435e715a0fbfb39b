"""Base classes of all commands and groups of commands."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

from dubfew.cli.config_file import CONFIG_HELP, CONFIG_WORD, read_config_words, take_config
from dubfew.cli.console import EXIT_USAGE, USAGE_ERROR_NAME, print_json_error

# Number of characters that no sentence of help has.
UNLIMITED_LENGTH = 10_000


# What pydantic, which Typer 0.29 checks values with, writes before the reason.
_PYDANTIC_PREFIX = "Value error, "
# Base class of Typer's errors of wrong usage. Typer carries a copy of click and does not export it.
_UsageError: type[Exception] = typer.BadParameter.__bases__[0]


@contextmanager
def _report_usage_errors(words: Sequence[str]) -> Iterator[None]:
    """Clean wrong usage of words for developers, and print it as JSON where ``--json`` is given.

    Commands report their own errors; those of the parser come before a command runs.
    """
    try:
        yield
    except _UsageError as error:
        error.message = error.message.replace(_PYDANTIC_PREFIX, "")  # type: ignore[attr-defined]
        if "--json" in words:
            message = error.format_message()  # type: ignore[attr-defined]
            print_json_error(USAGE_ERROR_NAME, message, EXIT_USAGE)
        raise


class _CommandMixin:
    """What all commands and groups have in common.

    ``--help`` has the default False instead of None: Typer checks missing values with pydantic, and
    importing pydantic takes as long as all the rest of ``dubfew actors list``.
    """

    def make_context(self, info_name: Any, args: list[str], *more: Any, **extra: Any) -> Any:
        """Parse the words of the command, as Typer does, behind those of ``--config FILE``."""
        with _report_usage_errors([*args]):
            if self.reads_config and not extra.get("resilient_parsing"):  # as completion does
                args = self._add_config(info_name, args, more[0] if more else extra.get("parent"))
            return super().make_context(info_name, args, *more, **extra)  # type: ignore[misc]

    @property
    def reads_config(self) -> bool:
        """True if the command has options that a file can hold."""
        words = {word for each in self.params for word in each.opts}  # type: ignore[attr-defined]
        return CONFIG_WORD not in words

    def _add_config(self, info_name: str, args: list[str], parent: Any) -> list[str]:
        """Return the words with those of a config file before them."""
        args, path = take_config(args)
        if path is None:
            return args
        # The first word is the program's name.
        command = [*(parent.command_path.split()[1:] if parent else ()), info_name]
        params = self.params  # type: ignore[attr-defined]
        return [*read_config_words(path, command, params, args), *args]

    def get_help_option(self, ctx: Any) -> Any:
        """Return Typer's ``--help`` option with another default."""
        option = super().get_help_option(ctx)  # type: ignore[misc]
        if option is not None:
            option.default = False
        return option

    def get_short_help_str(self, limit: int = 0) -> str:
        """Return the first sentence for a list of commands; long ones are wrapped, never cut."""
        return str(super().get_short_help_str(limit=UNLIMITED_LENGTH))  # type: ignore[misc]


class _Command(_CommandMixin, TyperCommand):
    pass


class FastHelpGroup(_CommandMixin, TyperGroup):
    """Group of commands as `CommandGroup` makes it."""

    @property
    def reads_config(self) -> bool:
        """True if the group does work of its own where no command follows."""
        return bool(self.invoke_without_command)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Find the command that the words name, as Typer does."""
        with _report_usage_errors([*args]):
            return super().resolve_command(ctx, args)


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
        return super().command(name, cls=_Command, **{"epilog": CONFIG_HELP, **settings})
