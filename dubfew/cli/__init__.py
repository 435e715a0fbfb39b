"""The ``dubfew`` command. Each subcommand parses, calls one library function, and prints.

No module of this package imports torch or another large package at module level. The commands
import the library inside, so that ``--help`` and ``actors list`` take a tenth of a second.
"""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command line with the words of this process."""
    # Imported inside the block: Ctrl-C may come during the imports already.
    try:
        from dubfew.cli.start import main as run

        run()
    except KeyboardInterrupt:
        print("dubfew: interrupted", file=sys.stderr)
        sys.exit(1)


__all__ = ["main"]
