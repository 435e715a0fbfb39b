"""Output of all commands: results on stdout, errors in one line and progress on stderr."""

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
from collections.abc import Callable, Mapping
from contextlib import suppress
from types import FrameType
from typing import Any, TypeVar

import typer

from dubfew.errors import DubfewError, KeyMissingError
from dubfew.utils.jsonable import to_jsonable

CommandFunction = TypeVar("CommandFunction", bound=Callable[..., Any])

# Exit code of a command whose work failed. Wrong usage is 2, as in Typer and most programs.
EXIT_FAILURE = 1
EXIT_USAGE = 2
# Type of wrong usage in the JSON of an error, whichever class of Typer's it is.
USAGE_ERROR_NAME = "UsageError"
# Remedies for errors of the operating system, by error number. They complete "error: Permission
# denied: FILE: ...".
OS_ERROR_ADVICE = {
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
}
# Decimal factors of units of bytes, largest first.
BYTE_UNITS = (("GB", 1e9), ("MB", 1e6), ("kB", 1e3))


def report_errors(command: CommandFunction) -> CommandFunction:
    """Turn exceptions of a command into one line on stderr and exit code 1, as a decorator.

    ``DUBFEW_DEBUG=1`` prints the traceback as well. Errors of usage and Typer's own exits pass
    through. With ``--json`` an error is also printed on stdout, as an object.

    Args:
        command: function of the command.
    """

    @functools.wraps(command)
    def wrapper(*args: Any, **options: Any) -> Any:
        as_json = bool(options.get("as_json"))
        try:
            return command(*args, **options)
        except typer.Exit:
            raise
        except typer.BadParameter as error:
            if as_json:
                print_json_error(USAGE_ERROR_NAME, error.format_message(), EXIT_USAGE)
            raise  # Typer prints wrong usage itself, with exit code 2
        except BrokenPipeError:
            raise  # the reader of the pipe has ended; Typer then exits quietly
        except (Exception, KeyboardInterrupt) as error:
            # Interrupts count as failures: scripts must see that there is no result.
            if os.environ.get("DUBFEW_DEBUG"):
                traceback.print_exc()
            line = format_error(error)
            print(f"dubfew: {line}", file=sys.stderr)
            if as_json:
                message = line.removeprefix("error: ")
                print_json_error(type(error).__name__, message, EXIT_FAILURE)
            raise typer.Exit(EXIT_FAILURE) from None

    return wrapper  # type: ignore[return-value]


def print_json_error(kind: str, message: str, exit_code: int) -> None:
    """Print an error as one JSON object on stdout, for programs that read results there.

    Args:
        kind: name of the error's class.
        message: what went wrong, and the remedy.
        exit_code: exit code that the command will end with.
    """
    with suppress(OSError):  # a closed pipe: the error is on stderr already
        facts = {"type": kind, "message": message, "exit_code": exit_code}
        print_result({"error": facts}, as_json=True, text="")


def format_error(error: BaseException) -> str:
    """Describe an exception and its remedy in one line.

    Example:
        >>> format_error(FileNotFoundError(2, "No such file or directory", "a.mp4"))
        'error: No such file or directory: a.mp4: check the path'
    """
    return " ".join(_explain_error(error).splitlines())


def _explain_error(error: BaseException) -> str:
    """Describe an exception; the text may have several lines."""
    if isinstance(error, KeyboardInterrupt):
        return "interrupted"
    if isinstance(error, DubfewError):  # its message has the remedy already
        return f"error: {error}"
    # Without a number and text the operating system did not raise it.
    if isinstance(error, OSError) and error.strerror:
        place = f": {error.filename}" if error.filename else ""
        advice = OS_ERROR_ADVICE.get(error.errno or 0, "check that place and run this again")
        return f"error: {error.strerror}{place}: {advice}"
    if isinstance(error, MemoryError):
        return "error: not enough memory: close other programs or use shorter footage"
    if isinstance(error, ModuleNotFoundError):  # the installation is incomplete
        return f"error: {error}: 'dubfew doctor' shows what is missing and how to install it"
    # Every other exception is a mistake in dubfew.
    return (
        f"error: unexpected {type(error).__name__}: {error} (this is a fault of dubfew: please "
        "report it with what DUBFEW_DEBUG=1 prints)"
    )


def prompt_passphrase(purpose: str, is_new: bool) -> str:
    """Ask for a passphrase at the terminal without showing it.

    Args:
        purpose: words for the prompt, such as "the export of 'mary'".
        is_new: True to ask twice, for a passphrase that is being chosen.

    Raises:
        KeyMissingError: The two new passphrases differ.
    """
    try:
        given = getpass.getpass(f"Passphrase for {purpose}: ")
        if is_new and getpass.getpass("The same again: ") != given:
            raise KeyMissingError("the two passphrases differ: run this again")
    except EOFError:  # Ctrl-D
        raise KeyMissingError(f"nothing was entered for {purpose}: run this again") from None
    return given


def is_interactive() -> bool:
    """Tell whether there is a terminal at which a user can be asked."""
    return sys.stdin is not None and sys.stdin.isatty()


def ask_line(question: str) -> str:
    """Ask for one line at the terminal, on stderr, so that stdout has the result alone.

    Args:
        question: text before the cursor.

    Raises:
        DubfewError: Nothing was entered before the end of the input (Ctrl-D).
    """
    print(question, end="", file=sys.stderr, flush=True)
    line = sys.stdin.readline()
    if not line:
        print(file=sys.stderr)
        raise DubfewError("nothing was entered, so nothing was done: run this again")
    return line.strip()


# Numbers of the signals that this process received. Progress reports look here as well, see
# `raise_if_interrupted`.
_received_signals: list[int] = []


def handle_interrupt_signal(number: int, frame: FrameType | None) -> None:
    """Handle a signal: end the work with KeyboardInterrupt, so that it cleans up.

    Args:
        number: number of the signal.
        frame: stack frame at which it came; not used.

    Raises:
        KeyboardInterrupt: Always.
    """
    _received_signals.append(number)
    raise KeyboardInterrupt


def raise_if_interrupted() -> None:
    """Raise the KeyboardInterrupt of a signal that Python lost: it does while an import ends."""
    if _received_signals:
        raise KeyboardInterrupt


def mute_native_libraries() -> None:
    """Discard what libraries in other languages write to stderr from here on.

    MediaPipe's C++ core logs there whatever its settings are, and would bury the one line of an
    error. Python's ``sys.stderr`` is moved to a copy of the old file descriptor.
    """
    try:
        copy = os.dup(2)
    except OSError:  # this process was started without a stderr
        return
    # Line buffering, as stderr has, and no error for characters that the terminal cannot show.
    sys.stderr = os.fdopen(copy, "w", buffering=1, errors="backslashreplace")
    # Descriptor 2 is where libraries in C++ write.
    null_device = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null_device, 2)
    os.close(null_device)


def print_result(result: Any, *, as_json: bool, text: str | Callable[[], str]) -> None:
    """Print the result of a command.

    Args:
        result: object to print as JSON.
        as_json: True to print ``result`` as one JSON object on one line, False to print ``text``.
        text: the result for readers, or a function that makes it where it is needed.

    Raises:
        OSError: stdout cannot be written to, because of a closed pipe or a full disk.
    """
    try:
        if as_json:
            print(json.dumps(to_jsonable(result), ensure_ascii=False))
        else:
            print(text() if callable(text) else text)
        sys.stdout.flush()  # so that a closed pipe or a full disk shows here
    except OSError:
        # Discard the rest of the buffer, which would fail a second time when Python ends.
        null_device = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null_device, 1)
        os.close(null_device)
        raise


def print_fields(result: Any, *, as_json: bool) -> None:
    """Print a result whose text is one line per field.

    Args:
        result: mapping or dataclass.
        as_json: True to print one JSON object instead.
    """
    print_result(result, as_json=as_json, text=format_fields(result))


def format_fields(values: Any) -> str:
    """Format a result for readers, one line per entry.

    Args:
        values: mapping or dataclass.

    Example:
        >>> print(format_fields({"frames": 25, "psnr": 31.256}))
        frames  25
        psnr    31.3
    """
    # Fields in their own order, which is that of the documentation.
    if not isinstance(values, Mapping):
        values = {field.name: getattr(values, field.name) for field in dataclasses.fields(values)}
    width = max(map(len, values), default=0)
    return "\n".join(f"{name:<{width}}  {format_value(value)}" for name, value in values.items())


def format_value(value: Any) -> str:
    """Format a value for readers: numbers are rounded, missing values become a dash.

    Example:
        >>> format_value({"track": 1.234, "total": None})
        'track 1.23, total -'
    """
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {format_value(item)}" for name, item in value.items()) or "-"
    if isinstance(value, list | tuple):
        return ", ".join(map(format_value, value)) or "-"
    # Three digits, or one decimal of larger numbers: what a reader can compare at a glance.
    if isinstance(value, float):
        return "-" if math.isnan(value) else f"{value:.3g}" if abs(value) < 10 else f"{value:.1f}"
    return "-" if value is None or value == "" else str(value)


def format_byte_count(count: int) -> str:
    """Format a number of bytes with a decimal unit.

    Example:
        >>> format_byte_count(2_560_000)
        '2.6 MB'
    """
    for unit, factor in BYTE_UNITS:
        if count >= factor:
            return f"{count / factor:.1f} {unit}"
    return f"{count} B"
