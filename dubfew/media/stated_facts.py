"""Facts about files that are stated for a while, and hold for all readers of this process.

A file may say nothing of itself, or what is wrong: its log curve, the shape of its pixels, its
fields. Many readers open it one after another, so a statement is kept beside them.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Generic, TypeVar

Fact = TypeVar("Fact")


class StatedFacts(Generic[Fact]):
    """Hold one kind of fact about files, by their absolute paths."""

    def __init__(self) -> None:
        self._stated: dict[Path, Fact] = {}

    @contextmanager
    def state(self, path: Path, fact: Fact | None) -> Iterator[None]:
        """State a fact about a file for as long as the context lasts.

        Args:
            path: a video file.
            fact: what is stated; None states nothing, and what was stated before goes on.
        """
        key = path.resolve()
        before = self._stated.get(key)
        if fact is not None:
            self._stated[key] = fact
        try:
            yield
        finally:
            if before is not None:
                self._stated[key] = before
            else:
                self._stated.pop(key, None)

    def find(self, path: Path) -> Fact | None:
        """Return what is stated for a file, or None."""
        return self._stated.get(path.resolve())
