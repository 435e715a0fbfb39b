"""``--config FILE``: options of commands from a file, as if they were typed before the others."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import typer

# Word that names the file, and the variable that does so where it is not given.
CONFIG_WORD, CONFIG_VARIABLE = "--config", "DUBFEW_CONFIG"
# Sentence that `--help` ends with.
CONFIG_HELP = (
    f"{CONFIG_WORD} FILE reads options from a TOML file; see 'dubfew init', which writes one."
)


def take_config(words: list[str]) -> tuple[list[str], Path | None]:
    """Take ``--config FILE`` out of the words of a command.

    Args:
        words: words behind the command's name.

    Returns:
        The other words, and the file; None where none is named.

    Raises:
        typer.BadParameter: The word comes without a file, or twice.
    """
    rest: list[str] = []
    found: list[str] = []
    left = iter(words)
    for word in left:
        if word == "--":  # what follows are no options
            rest += [word, *left]
        elif word == CONFIG_WORD:
            found.append(next(left, ""))
        elif word.startswith(f"{CONFIG_WORD}="):
            found.append(word.partition("=")[2])
        else:
            rest.append(word)
    if len(found) > 1:
        raise typer.BadParameter(f"{CONFIG_WORD} is given twice: name one file")
    named = found[0] if found else os.environ.get(CONFIG_VARIABLE)
    if found and not named:
        raise typer.BadParameter(f"{CONFIG_WORD} needs a file")
    return rest, Path(named) if named else None


def read_config_words(
    path: Path, command: Sequence[str], parameters: Iterable[Any], words: Sequence[str]
) -> list[str]:
    """Read the options of one command as words of the command line.

    Args:
        path: the TOML file. The table of a command has its name, as ``[render]`` or
            ``[actors.list]``; its keys are the long options without hyphens before them.
        command: words of the command, without "dubfew".
        parameters: parameters of the command.
        words: words that the user has typed; options among them are left out of the result.

    Returns:
        The words; none if the file has no table for the command.

    Raises:
        typer.BadParameter: The file cannot be read, or has a key or a value that the command does
            not have.
    """
    table: Any = _read_toml(path)
    place = ".".join(command)
    for name in command:
        table = table.get(name, {}) if isinstance(table, dict) else None
    if not isinstance(table, dict):
        raise typer.BadParameter(f"{path}: {place} is no table: write [{place}] above its options")
    known: dict[str, Any] = {}
    for parameter in parameters:
        for word in parameter.opts:
            if word.startswith("--"):
                known[word.removeprefix("--")] = parameter
    typed = {word.partition("=")[0] for word in words}
    result: list[str] = []
    for key, value in table.items():
        if isinstance(value, dict):
            continue  # the table of a command of this group
        name = key.replace("_", "-")
        found = known.get(name)
        if found is None:
            options = ", ".join(sorted(known)) or "none"
            raise typer.BadParameter(
                f"{path}: [{place}] has no option {key!r}: there are {options}"
            )
        if not typed & {*found.opts, *found.secondary_opts}:
            result += _make_words(f"{path}: [{place}] {key}", name, value, found)
    return result


def _make_words(place: str, name: str, value: Any, parameter: Any) -> list[str]:
    """Turn one key into words."""
    if parameter.is_flag:
        if not isinstance(value, bool):
            raise typer.BadParameter(f"{place} is {value!r}: give true or false")
        if value:
            return [f"--{name}"]
        return [parameter.secondary_opts[0]] if parameter.secondary_opts else []
    values = value if isinstance(value, list) else [value]
    if isinstance(value, list) and not parameter.multiple:
        raise typer.BadParameter(f"{place} is a list: give one value")
    for each in values:
        if isinstance(each, bool) or not isinstance(each, str | int | float):
            raise typer.BadParameter(f"{place} is {each!r}: give a text or a number")
    # One word, so that a value which begins with a hyphen is no option.
    return [f"--{name}={each}" for each in values]


def _read_toml(path: Path) -> dict[str, Any]:
    """Read a TOML file."""
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib
    try:
        with open(path, "rb") as file:
            found: dict[str, Any] = tomllib.load(file)
            return found
    except OSError as error:
        raise typer.BadParameter(
            f"{path} cannot be read ({error.strerror}): check the path"
        ) from None
    except ValueError as error:  # broken TOML, or no UTF-8
        raise typer.BadParameter(f"{path} is no TOML file: {error}") from None
