"""What every command shares: errors on one line, results on stdout, progress on stderr."""

from __future__ import annotations

import dataclasses
import errno
import functools
import getpass
import json
import math
import os
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from types import FrameType
from typing import Any, TypeVar

import typer

from dubfew.errors import DubfewError, KeyMissingError
from dubfew.progress import Progress, ProgressCallback

CommandFunction = TypeVar("CommandFunction", bound=Callable[..., Any])

EXIT_FAILURE = 1


def report_errors(command: CommandFunction) -> CommandFunction:
    """Turn what a command raises into one line on stderr and exit code 1.

    ``DUBFEW_DEBUG=1`` shows the traceback as well.
    """

    @functools.wraps(command)
    def wrapper(*args: Any, **options: Any) -> Any:
        try:
            return command(*args, **options)
        except (typer.Exit, typer.BadParameter):
            raise
        except BrokenPipeError:
            raise  # the reader of a pipe has seen enough; typer ends quietly
        except (Exception, KeyboardInterrupt) as error:
            if os.environ.get("DUBFEW_DEBUG"):
                traceback.print_exc()
            print(f"dubfew: {format_error(error)}", file=sys.stderr)
            raise typer.Exit(EXIT_FAILURE) from None

    return wrapper  # type: ignore[return-value]


def format_error(error: BaseException) -> str:
    """What went wrong and what to do about it, without a line break."""
    return " ".join(_explain_error(error).splitlines())


def _explain_error(error: BaseException) -> str:
    if isinstance(error, KeyboardInterrupt):
        return "interrupted"
    if isinstance(error, DubfewError):
        return f"error: {error}"
    if isinstance(error, OSError) and error.strerror:
        place = f": {error.filename}" if error.filename else ""
        advice = {
            errno.ENOSPC: "free some space on that disk and run this again",
            errno.EDQUOT: "free some of your quota on that disk and run this again",
            errno.EACCES: "check the permissions of that file and its folder",
            errno.EROFS: "choose a place that can be written to",
            errno.ENOENT: "check the path",
            errno.ENOTDIR: "check the path",
            errno.EEXIST: "choose another place, or move what is there",
            errno.EISDIR: "that is a folder: name a file",
            errno.ENAMETOOLONG: "use a shorter name",
            errno.EFBIG: "write to a disk that holds larger files, or raise the limit",
        }.get(error.errno or 0, "check that place and run this again")
        return f"error: {error.strerror}{place}: {advice}"
    if isinstance(error, MemoryError):
        return "error: not enough memory: close other programs or use shorter footage"
    if isinstance(error, ModuleNotFoundError):
        return f"error: {error}: 'dubfew doctor' says what is missing and how to install it"
    return (
        f"error: unexpected {type(error).__name__}: {error} (this is a fault of dubfew: please "
        "report it with what DUBFEW_DEBUG=1 prints)"
    )


def prompt_passphrase(purpose: str, is_new: bool) -> str:
    """Ask at the terminal, without showing what is typed; a new passphrase twice.

    Raises:
        KeyMissingError: what was typed differs.
    """
    given = getpass.getpass(f"Passphrase for {purpose}: ")
    if is_new and getpass.getpass("The same again: ") != given:
        raise KeyMissingError("the two passphrases differ: run this again")
    return given


_received_signals: list[int] = []


def handle_interrupt_signal(number: int, frame: FrameType | None) -> None:
    """A signal's handler: end the job, cleaning up."""
    _received_signals.append(number)
    raise KeyboardInterrupt


def _raise_if_interrupted(progress: Progress) -> None:
    if _received_signals:
        raise KeyboardInterrupt


def mute_native_libraries() -> None:
    """Let only Python write to stderr from here on.

    MediaPipe's C++ core logs there whatever it is told, which would bury the one line that
    matters. Python's own stderr moves to a copy of the old descriptor.
    """
    try:
        own = os.dup(2)
    except OSError:  # started without a stderr
        return
    sys.stderr = os.fdopen(own, "w", buffering=1, errors="backslashreplace")
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    os.close(nowhere)


def print_result(result: Any, *, as_json: bool, text: str) -> None:
    """Print a command's result: ``text`` for people, or one JSON object on one line."""
    try:
        print(json.dumps(to_jsonable(result), ensure_ascii=False) if as_json else text)
        sys.stdout.flush()  # so that a closed pipe or a full disk is noticed here
    except OSError:
        # What is still in the buffer must not fail a second time when Python ends.
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 1)
        os.close(nowhere)
        raise


def to_jsonable(value: Any) -> Any:
    """``value`` in JSON's own types; NaN and infinity, which JSON has not, become null."""
    if value is None or type(value) in (str, int, bool):  # at once: listings have many of these
        return value
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {
            field.name: to_jsonable(getattr(value, field.name))
            for field in dataclasses.fields(value)
            if not field.name.startswith("_")
        }
    if isinstance(value, Mapping):
        return {str(key): to_jsonable(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [to_jsonable(item) for item in value]
    if isinstance(value, Path | Fraction):
        return str(value)
    if hasattr(value, "item"):  # a number of numpy or torch
        return to_jsonable(value.item())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def format_fields(values: Any) -> str:
    """One line per entry of a mapping or field of a result, for people."""
    if not isinstance(values, Mapping):
        values = {field.name: getattr(values, field.name) for field in dataclasses.fields(values)}
    width = max(map(len, values), default=0)
    return "\n".join(f"{name:<{width}}  {format_value(value)}" for name, value in values.items())


def format_value(value: Any) -> str:
    """A value for people: rounded figures, a dash for what there is not."""
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {format_value(item)}" for name, item in value.items()) or "-"
    if isinstance(value, list | tuple):
        return ", ".join(map(format_value, value)) or "-"
    if isinstance(value, float):
        return "-" if math.isnan(value) else f"{value:.3g}" if abs(value) < 10 else f"{value:.1f}"
    return "-" if value is None or value == "" else str(value)


def format_byte_count(count: int) -> str:
    """A number of bytes for people."""
    for unit, factor in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= factor:
            return f"{count / factor:.1f} {unit}"
    return f"{count} B"


@contextmanager
def progress_bar(*, as_json: bool) -> Iterator[ProgressCallback]:
    """A callback that draws bars on stderr, or nothing with ``--json`` or without a terminal.

    It also ends the job after a Ctrl-C that Python lost: one that comes while an import frees
    its locks is only printed.
    """
    if as_json or not sys.stderr.isatty():
        yield _raise_if_interrupted
        return
    from rich import progress as bars
    from rich.console import Console

    columns = (
        bars.TextColumn("{task.description:>10}"),
        bars.BarColumn(),
        bars.MofNCompleteColumn(),
        bars.TimeRemainingColumn(),
        bars.TextColumn("{task.fields[values]}"),
    )
    with bars.Progress(*columns, console=Console(stderr=True)) as display:
        tasks: dict[str, bars.TaskID] = {}

        def update_bar(progress: Progress) -> None:
            _raise_if_interrupted(progress)
            values = "  ".join(
                f"{name} {format_value(value)}" for name, value in progress.values.items()
            )
            if progress.stage not in tasks:
                tasks[progress.stage] = display.add_task(progress.stage, values="")
            display.update(
                tasks[progress.stage],
                completed=progress.done,
                total=progress.total,
                values=values,
            )

        yield update_bar
