"""Checks of the options that correct a line: when the mouth moves, how far it opens."""

from __future__ import annotations

from dubfew.errors import DubfewError
from dubfew.render.options import RenderOptions


def check_corrections(options: RenderOptions) -> None:
    """Check that the corrections have a motion to change.

    Args:
        options: options of a render.

    Raises:
        DubfewError: The scene drives itself, and its motion is to be changed.
    """
    if options.drive == "self" and (options.offset != 0 or options.open != 1):
        raise DubfewError(
            "--offset and --open change a new mouth motion, and --drive self keeps the scene's: "
            "leave them out"
        )
