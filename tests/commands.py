"""Commands in this process, without making all of them anew for each one that runs."""

from __future__ import annotations

from functools import cache
from typing import Any
from unittest import mock

from typer import testing
from typer.main import get_command

# Typer's runner makes the commands of an app at every call: 0.15 s of processor time for dubfew.
_make_command = cache(get_command)


class CommandRunner(testing.CliRunner):
    """Runs commands as Typer's runner does, and keeps those of each app."""

    def invoke(self, *arguments: Any, **options: Any) -> testing.Result:
        """Run a command.

        Args:
            arguments: arguments of Typer's runner: the app, then the words.
            options: keyword arguments of Typer's runner.
        """
        with mock.patch.object(testing, "_get_command", _make_command):
            return super().invoke(*arguments, **options)
