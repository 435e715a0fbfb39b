"""What happens before a command: signals, warnings, and only as many imports as it needs."""

from __future__ import annotations

import os
import signal
import sys
import warnings

import typer

from dubfew.cli.console import handle_interrupt_signal, mute_native_libraries, prompt_passphrase
from dubfew.utils.passphrase import set_passphrase_prompt


def main() -> None:
    """The command's entry point."""
    # kill and a closed terminal are to clean up like Ctrl-C: no temporary files stay behind.
    for name in ("SIGINT", "SIGTERM", "SIGHUP"):
        number = getattr(signal, name, None)  # Windows has no SIGHUP
        if number is not None and signal.getsignal(number) is not signal.SIG_IGN:  # nohup
            signal.signal(number, handle_interrupt_signal)
    if not os.environ.get("DUBFEW_DEBUG"):
        mute_native_libraries()
        # Users can act on dubfew's own warnings, not on those of the packages below.
        warnings.simplefilter("ignore")
        # Once, though a file is read several times.
        warnings.filterwarnings("once", category=UserWarning, module=r"dubfew(\.|$)")
        warnings.formatwarning = lambda message, *rest, **more: f"dubfew: warning: {message}\n"
    if sys.stdin is not None and sys.stdin.isatty():
        set_passphrase_prompt(prompt_passphrase)
    commands, words = _select_commands(sys.argv[1:])
    commands(words, prog_name=" ".join(["dubfew", *sys.argv[1 : len(sys.argv) - len(words)]]))


def _select_commands(arguments: list[str]) -> tuple[typer.Typer, list[str]]:
    """The commands among which these words choose, and the words that are left to do so.

    Building all commands takes longer than listing actors, which is done often.
    """
    if arguments[:1] == ["actors"]:
        from dubfew.cli.exchange import actors_app

        return actors_app, arguments[1:]
    from dubfew.cli.app import app

    return app, arguments
