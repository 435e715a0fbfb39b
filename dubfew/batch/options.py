"""Options of ``run_batch``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from dubfew.data.executors import CLIP_EXECUTORS
from dubfew.utils.options import document_fields, option, validate_options


@document_fields
@dataclass(frozen=True, kw_only=True)
class BatchOptions:
    """Options of ``dubfew batch``."""

    jobs: int | None = option(
        None,
        help="Number of jobs at once; default: one per core. Each takes about 1.5 GB.",
        metavar="N",
        minimum=1,
    )
    engine: str = option(
        "local",
        help="What runs the jobs: processes of this machine (local), or all machines of the Ray "
        "cluster that RAY_ADDRESS names (ray), which see the files at the same paths. They get no "
        "keys, but the actor of each job, sealed.",
        choices=CLIP_EXECUTORS,
    )
    retries: int = option(
        1,
        help="Number of times that a job is tried again whose process died or met a fault. Wrong "
        "input fails at once.",
        metavar="N",
        minimum=0,
        maximum=10,
    )
    modified_only: bool = option(
        False,
        help="Also do the jobs anew that are done, but whose files, options or actor have changed "
        "since.",
    )
    everything: bool = option(
        False, help="Do all jobs anew, also those that are done.", flags=("--all",)
    )
    retakes: Path | str | None = option(
        None,
        help="Decisions of 'dubfew review'. Jobs that are marked for a retake are done anew, and "
        "their earlier output is kept in the folder takes. The audit log records all decisions.",
        metavar="FILE",
    )
    only: str | None = option(
        None, help="Jobs to do, by their ids: a pattern such as 's01*'.", metavar="PATTERN"
    )
    check: bool = option(False, help="Check the table, say what would be done, and stop.")
    reports: bool = option(
        False, help="Write a page about each output beside the summary, as 'render --report' does."
    )
    events: Path | str | None = option(
        None,
        help="File to append events to, one JSON object a line: start, begin, progress, done, "
        "failed, end.",
        metavar="FILE",
    )

    def __post_init__(self) -> None:
        validate_options(self)
