"""Shapes of pixels that files state wrongly: a statement holds for all readers of this process.

Material of 4:3 that is flagged as 16:9, and the other way round, is common.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from fractions import Fraction
from pathlib import Path

from dubfew.media.stated_facts import StatedFacts

# Widths of pixels over their heights that were stated for files.
_aspects: StatedFacts[Fraction] = StatedFacts()


def stated_aspect(path: Path, aspect: Fraction) -> AbstractContextManager[None]:
    """State the shape of a file's pixels for as long as this lasts.

    Args:
        path: a video file.
        aspect: width of a pixel over its height, after rotation.
    """
    return _aspects.state(path, aspect)


def find_stated_aspect(path: Path) -> Fraction | None:
    """Return the shape of pixels that was stated for a file, or None."""
    return _aspects.find(path)
