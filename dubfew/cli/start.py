"""Start of the command line: signals, warnings, and no more imports than the command needs."""

from __future__ import annotations

import os
import signal
import sys
import warnings

import typer

from dubfew.cli.command_table import COMMANDS, make_app
from dubfew.cli.console import (
    handle_interrupt_signal,
    is_interactive,
    mute_native_libraries,
    prompt_passphrase,
)
from dubfew.utils.allocator import keep_freed_memory, share_product_buffers
from dubfew.utils.compute_threads import use_one_blas_thread
from dubfew.utils.garbage import search_garbage_rarely, skip_last_search
from dubfew.utils.passphrase import set_passphrase_prompt

# Environment variable by which a shell asks for completions.
COMPLETION_VARIABLE = "_DUBFEW_COMPLETE"


def main() -> None:
    """Set up signals, warnings and prompts, then run the command that the words choose."""
    tune_process()
    # End on `kill` and on a closed terminal as on Ctrl-C, so that temporary files are removed.
    for name in ("SIGINT", "SIGTERM", "SIGHUP"):
        number = getattr(signal, name, None)  # Windows has no SIGHUP
        if (
            number is not None and signal.getsignal(number) is not signal.SIG_IGN
        ):  # as nohup sets it
            signal.signal(number, handle_interrupt_signal)
    if not os.environ.get("DUBFEW_DEBUG"):
        mute_native_libraries()
        # Show dubfew's own warnings only: users cannot act on those of other packages.
        warnings.simplefilter("ignore")
        # Show each once, though a file is read several times.
        for category in (UserWarning, FutureWarning):
            warnings.filterwarnings("once", category=category, module=r"dubfew(\.|$)")
        warnings.formatwarning = lambda message, *rest, **more: f"dubfew: warning: {message}\n"
    # Ask for passphrases at a terminal only: a script would wait for ever.
    if is_interactive():
        set_passphrase_prompt(prompt_passphrase)
    _select_commands(sys.argv[1:])(sys.argv[1:], prog_name="dubfew")


def tune_process() -> None:
    """Set threads, memory and garbage of this process as commands of dubfew need them.

    To be called before other imports.
    """
    use_one_blas_thread()  # before NumPy is imported, which reads it
    share_product_buffers()  # before torch is imported, whose MKL reads it
    keep_freed_memory()  # before threads have arenas of their own
    search_garbage_rarely()  # before imports make a million objects
    skip_last_search()


def _select_commands(arguments: list[str]) -> typer.Typer:
    """Return the commands that the words may need: building all takes longer than most typos."""
    word = arguments[0] if arguments else ""
    # Options, no words at all and completion by a shell concern all commands.
    if not word or word.startswith("-") or COMPLETION_VARIABLE in os.environ:
        from dubfew.cli.app import app

        return app
    # A mistyped word is no command: none is built, and the error names the nearest one.
    return make_app([word] if word in COMMANDS else [])
