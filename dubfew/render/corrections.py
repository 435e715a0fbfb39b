"""Checks of the options that correct a line: when the mouth moves, how far it opens."""

from __future__ import annotations

from dubfew.errors import DubfewError
from dubfew.render.options import RenderOptions


def check_corrections(options: RenderOptions) -> None:
    """Check that the corrections have a motion to change, and a part of the scene to show.

    Args:
        options: options of a render.

    Raises:
        DubfewError: The scene drives itself, and its motion is to be changed; or a part is named
            and no preview asked for, or it ends before it begins.
    """
    begin, end = options.from_seconds, options.to_seconds
    if options.into is not None:
        if options.preview:
            raise DubfewError("--preview shows two seconds, --into changes a file: leave out one")
        if begin is None or end is None:
            raise DubfewError("--into needs the passage to render anew: give --from and --to")
    elif not options.preview and (begin is not None or end is not None):
        raise DubfewError(
            "--from and --to choose a passage: add --into FILE to render it anew in an earlier "
            "output, or --preview to look at it"
        )
    if begin is not None and end is not None and end <= begin:
        raise DubfewError(f"--to is {end:g} and --from {begin:g}: give a later --to")
    if end is not None and begin is None:
        raise DubfewError("--to ends the part that --from begins: give both")
    if options.drive == "self" and (options.offset != 0 or options.open != 1):
        raise DubfewError(
            "--offset and --open change a new mouth motion, and --drive self keeps the scene's: "
            "leave them out"
        )
