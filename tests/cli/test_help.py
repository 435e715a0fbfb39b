"""Help and shell completion."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from dubfew.cli.app import app
from dubfew.cli.command_table import COMMANDS
from dubfew.registry import Registry
from tests.commands import CommandRunner


def help_of(*words: str) -> str:
    result = CommandRunner().invoke(app, [*words, "--help"], env={"COLUMNS": "80"})
    assert result.exit_code == 0
    return result.stdout


def test_commands_are_listed_in_the_order_of_the_work() -> None:
    listing = help_of().split("Commands:\n")[1]
    names = [line.split()[0] for line in listing.splitlines() if line[2:3].strip()]
    assert names == list(COMMANDS)
    assert names[:4] == ["dub", "adapt", "render", "actors"]


@pytest.mark.parametrize("group", [[], ["actors"], ["audit"], ["consent"], ["prior"], ["speech"]])
def test_no_sentence_of_a_list_is_cut(group: list[str]) -> None:
    assert "..." not in help_of(*group).split("Commands:\n")[1]


def complete(line: str, home: Path) -> list[str]:
    """Return what bash offers after a line."""
    words = line.split(" ")
    done = subprocess.run(
        [sys.executable, "-c", "from dubfew.cli import main; main()"],
        capture_output=True,
        text=True,
        env={
            **os.environ,
            "PYTHONPATH": os.pathsep.join(sys.path),
            "DUBFEW_HOME": str(home),
            "_DUBFEW_COMPLETE": "complete_bash",
            "COMP_WORDS": line,
            "COMP_CWORD": str(len(words) - 1),
        },
    )
    assert done.stderr == ""
    return done.stdout.split()


@pytest.mark.slow
def test_a_shell_completes_commands_options_and_actors(tmp_path: Path) -> None:
    home = tmp_path / "home"
    assert complete("dubfew render m", home) == []
    registry = Registry(home)
    for actor in ("mary", "martha", "john"):
        registry.create(actor, {}, {"a": b"x"})
    assert complete("dubfew ren", home) == ["render"]
    assert complete("dubfew render --au", home) == ["--audio", "--audio-track"]
    assert complete("dubfew render mar", home) == ["martha", "mary"]
    assert complete("dubfew actors show j", home) == ["john"]
