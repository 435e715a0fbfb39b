"""The ``dubfew`` command. Every command parses, calls one library function, and prints.

Nothing here imports torch or another heavy package at module level: commands import the
library inside, so that ``--help`` and ``actors list`` answer at once.
"""

from dubfew.cli.app import main

__all__ = ["main"]
