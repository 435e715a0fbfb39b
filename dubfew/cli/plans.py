"""Printing of plans: what a command will do, said before it begins."""

from __future__ import annotations

import sys
from typing import Protocol


class WorkPlan(Protocol):
    """A plan of some work."""

    def describe(self) -> list[tuple[str, str]]:
        """Return titles and lines."""


def print_plan(plan: WorkPlan) -> None:
    """Print a plan on stderr, one fact a line, so that stdout keeps the result alone."""
    lines = plan.describe()
    width = max(len(title) for title, _ in lines)
    for title, line in lines:
        print(f"{title:<{width}}  {line}", file=sys.stderr)
    sys.stderr.flush()
