"""The ``dubfew`` command. Every command parses, calls one library function, and prints.

Nothing here imports torch or another heavy package at module level: commands import the
library inside, so that ``--help`` and ``actors list`` answer at once.
"""

from __future__ import annotations

import sys


def main() -> None:
    """The command's entry point."""
    # Even the imports take a tenth of a second, in which Ctrl-C may come.
    try:
        from dubfew.cli.start import main as run

        run()
    except KeyboardInterrupt:
        print("dubfew: interrupted", file=sys.stderr)
        sys.exit(1)


__all__ = ["main"]
