"""Options of ``app``."""

from __future__ import annotations

from dataclasses import dataclass

from dubfew.adapt.options import device_option
from dubfew.utils.options import document_fields, option, validate_options


@document_fields
@dataclass(frozen=True, kw_only=True)
class PageOptions:
    """Options of ``dubfew app``."""

    port: int = option(
        7860,
        help="Port to listen on, on this machine alone; 0 chooses a free one.",
        metavar="N",
        minimum=0,
        maximum=65535,
    )
    workers: int = option(
        1,
        help="Jobs that are done at the same time, each in a process of its own.",
        metavar="N",
        minimum=1,
        maximum=64,
    )
    max_upload: float = option(
        20000.0, help="Largest file, in MB.", metavar="MB", above=0, maximum=1_000_000
    )
    keep_hours: float = option(
        24.0,
        help="Hours after which uploads and outputs are deleted.",
        metavar="H",
        above=0,
        maximum=24 * 365,
    )
    device: str = device_option()

    def __post_init__(self) -> None:
        validate_options(self)
