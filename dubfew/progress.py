"""Progress reports from the library to its caller. The library itself prints nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

# Stage of the first report of a job, before torch and the networks are loaded.
LOAD_STAGE = "load"


@dataclass(frozen=True)
class Progress:
    """One progress report.

    Attributes:
        stage: name of the stage of the work, such as "track", "train" or "render".
        done: number of finished units, which are frames, steps or clips.
        total: number of all units, or None if it is unknown.
        values: measurements to show, such as ``{"psnr_heldout": 31.2}``.
        fraction: share of the whole job that is done, 0 to 1; None if it is unknown. It never
            falls, and is 1 in the last report of a job that succeeds.
        seconds_left: estimate of the time until the whole job is done, s; None if it is unknown.
    """

    stage: str
    done: int
    total: int | None = None
    values: Mapping[str, float] = field(default_factory=dict)
    fraction: float | None = None
    seconds_left: float | None = None


class ProgressCallback(Protocol):
    """Function that receives reports. An exception that it raises stops the work."""

    def __call__(self, progress: Progress) -> None: ...


def no_progress(progress: Progress) -> None:
    """Ignore a report; the default callback."""
