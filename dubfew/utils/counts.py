"""Numbers of things in messages."""

from __future__ import annotations


def count_things(number: int, thing: str) -> str:
    """Write a number of things, the thing's plural made with "s".

    Example:
        >>> count_things(1, "frame"), count_things(0, "frame")
        ('1 frame', '0 frames')
    """
    return f"{number} {thing}" if number == 1 else f"{number} {thing}s"
