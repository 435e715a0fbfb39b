"""Start of the command line: signals, warnings, and no more imports than the command needs."""

from __future__ import annotations

import os
import signal
import sys
import warnings

import typer

from dubfew.cli.console import (
    handle_interrupt_signal,
    is_interactive,
    mute_native_libraries,
    prompt_passphrase,
)
from dubfew.utils.compute_threads import use_one_blas_thread
from dubfew.utils.passphrase import set_passphrase_prompt


def main() -> None:
    """Set up signals, warnings and prompts, then run the command that the words choose."""
    use_one_blas_thread()  # before NumPy is imported, which reads it
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
    # Usage lines must name the group that was chosen: "dubfew actors", not "dubfew".
    commands, words = _select_commands(sys.argv[1:])
    commands(words, prog_name=" ".join(["dubfew", *sys.argv[1 : len(sys.argv) - len(words)]]))


def _select_commands(arguments: list[str]) -> tuple[typer.Typer, list[str]]:
    """Return the smallest group of commands that contains the command, and the words for it.

    Building all commands takes longer than `dubfew actors list`, which scripts run often.
    """
    if arguments[:1] == ["actors"]:
        from dubfew.cli.exchange import actors_app

        return actors_app, arguments[1:]
    from dubfew.cli.app import app

    return app, arguments
