"""Progress reports from the library to its caller. The library itself prints nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol


@dataclass(frozen=True)
class Progress:
    """One progress report.

    Attributes:
        stage: name of the stage of the work, such as "track", "train" or "render".
        done: number of finished units, which are frames, steps or clips.
        total: number of all units, or None if it is unknown.
        values: measurements to show, such as ``{"psnr_heldout": 31.2}``.
    """

    stage: str
    done: int
    total: int | None = None
    values: Mapping[str, float] = field(default_factory=dict)


class ProgressCallback(Protocol):
    """Function that receives reports. An exception that it raises stops the work."""

    def __call__(self, progress: Progress) -> None: ...


def no_progress(progress: Progress) -> None:
    """Ignore a report; the default callback."""
