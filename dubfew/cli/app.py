"""The ``dubfew`` command with all of its commands and groups."""

from __future__ import annotations

from dubfew.cli.command_table import COMMANDS, make_app

app = make_app(COMMANDS)
