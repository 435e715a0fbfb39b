"""Options of ``conform_timeline``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from dubfew.batch.options import BatchOptions
from dubfew.errors import DubfewError
from dubfew.render.options import RenderOptions
from dubfew.utils.options import borrow_option, document_fields, option, validate_options

# Frames before and after each shot that are rendered along: an editor's small correction of a cut
# stays within half a second.
DEFAULT_HANDLES = 12


@document_fields
@dataclass(frozen=True, kw_only=True)
class ConformOptions:
    """Options of ``dubfew conform``."""

    media: Path | str | None = option(
        None,
        help="Folder of the media, with its subfolders, where the timeline has names alone or "
        "paths of another machine; default: the folder of the timeline.",
        metavar="FOLDER",
    )
    rate: float | None = option(
        None,
        help="Frame rate of an EDL, which does not say it: 25, 29.97, 23.976; default: that of "
        "the media.",
        metavar="FPS",
        above=0,
        maximum=240,
    )
    handles: int = option(
        DEFAULT_HANDLES,
        help="Frames before and after each shot that the new shots have, too, where the media "
        "have them.",
        metavar="N",
        minimum=0,
        maximum=1000,
    )
    audio: Path | str | None = option(
        None,
        help="New sound of the whole program, from its first frame on. Lines without a file of "
        "their own are cut from it, and it is the sound of the new shots.",
        metavar="FILE",
    )
    actor: str | None = option(
        None, help="Actor of all lines that name no actor and no character.", metavar="ID"
    )
    language: str | None = borrow_option(RenderOptions, "language")
    use: str | None = borrow_option(RenderOptions, "use")
    territory: str | None = borrow_option(RenderOptions, "territory")
    project: str | None = borrow_option(RenderOptions, "project")
    stretch: float = option(
        1.0,
        help="Largest factor by which a line that is too long for its place is spoken faster, at "
        "the same pitch: 1.1 is hardly heard. Lines that would need more stay as they are, and "
        "the plan names them.",
        metavar="FACTOR",
        minimum=1,
        maximum=1.5,
    )
    container: str | None = option(
        None,
        help="Container of the new shots, such as mov; default: that of their media.",
        metavar="NAME",
    )
    codec: str | None = option(
        None,
        help="Video encoder of the new shots, by its name in FFmpeg; default: that of their media.",
        metavar="C",
    )
    crf: int | None = borrow_option(RenderOptions, "crf")
    lossless: bool = borrow_option(RenderOptions, "lossless")
    watermark: bool = borrow_option(RenderOptions, "watermark")
    jobs: int | None = borrow_option(BatchOptions, "jobs")
    engine: str = borrow_option(BatchOptions, "engine")
    retries: int = borrow_option(BatchOptions, "retries")
    modified_only: bool = borrow_option(BatchOptions, "modified_only")
    everything: bool = borrow_option(BatchOptions, "everything")
    retakes: Path | str | None = option(
        None,
        help="Decisions of 'dubfew review'. Shots that are marked for a retake are rendered anew, "
        "and rejected ones show their originals.",
        metavar="FILE",
    )
    check: bool = option(False, help="Check everything, say what would be done, and stop.")
    events: Path | str | None = borrow_option(BatchOptions, "events")

    def __post_init__(self) -> None:
        validate_options(self)
        if self.lossless and self.crf is not None:
            raise DubfewError("--lossless has no quality to choose: leave out --crf")
