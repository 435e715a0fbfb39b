"""Write the manual page of all commands, from their help.

python -m tools.write_man > dubfew.1
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import typer

from dubfew.cli.app import app
from dubfew.cli.config_file import CONFIG_HELP
from dubfew.version import __version__

FILES = (
    ("DUBFEW_HOME", "Folder of actors, queue and logs; default: the system's folder for data."),
    ("DUBFEW_CONFIG", "TOML file with options of commands."),
    ("DUBFEW_DEBUG", "Set to 1 to print tracebacks of errors."),
)


def render_manual() -> str:
    """Return the page in the language of man (roff)."""
    root: Any = typer.main.get_command(app)
    lines = [
        f'.TH DUBFEW 1 "" "dubfew {__version__}" "User Commands"',
        ".SH NAME",
        r"dubfew \- learn an actor from a few seconds of footage, then make them speak new audio",
        ".SH SYNOPSIS",
        r".B dubfew",
        r".I COMMAND\fR [\fIARGUMENTS\fR]",
        ".SH COMMANDS",
    ]
    context = root.context_class(root, info_name="dubfew")
    for words, command, inner in _walk(root, context):
        if command.hidden:
            continue
        lines.append(f".SS {_escape(' '.join(words))}")
        lines.append(_escape(" ".join((command.help or "").split())))
        for parameter in command.get_params(inner):
            record = parameter.get_help_record(inner)
            if record is not None and not getattr(parameter, "hidden", False):
                lines += [".TP", rf"\fB{_escape(record[0])}\fR", _escape(record[1])]
    lines += [".SH CONFIGURATION", _escape(CONFIG_HELP), ".SH ENVIRONMENT"]
    for name, meaning in FILES:
        lines += [".TP", rf"\fB{name}\fR", _escape(meaning)]
    lines += [".SH EXIT STATUS", "0: done. 1: the work failed. 2: wrong usage."]
    return "\n".join(line for line in lines if line) + "\n"


def _walk(group: Any, context: Any) -> Iterator[tuple[list[str], Any, Any]]:
    """Yield words, command and context of all commands, in the order of the help."""
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        inner = command.context_class(command, info_name=name, parent=context)
        if hasattr(command, "list_commands"):
            if command.invoke_without_command:
                yield inner.command_path.split(), command, inner
            yield from _walk(command, inner)
        else:
            yield inner.command_path.split(), command, inner


def _escape(text: str) -> str:
    """Escape what is a command or a quotation in roff."""
    text = text.replace("\\", r"\e").replace("-", r"\-")
    return f"\\&{text}" if text.startswith((".", "'")) else text


if __name__ == "__main__":
    print(render_manual(), end="")
