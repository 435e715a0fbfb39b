"""How the library tells its caller how far it is. The library itself prints nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol


@dataclass(frozen=True)
class Progress:
    """One report.

    Attributes:
        stage: "track", "train", "render", ...
        done: units finished so far (frames, steps).
        total: units in all, or None when unknown.
        values: figures worth showing, such as ``{"psnr_heldout": 31.2}``.
    """

    stage: str
    done: int
    total: int | None = None
    values: Mapping[str, float] = field(default_factory=dict)


class ProgressCallback(Protocol):
    """Receives reports; may raise KeyboardInterrupt to stop the job."""

    def __call__(self, progress: Progress) -> None: ...


def no_progress(progress: Progress) -> None:
    """The callback that shows nothing."""
