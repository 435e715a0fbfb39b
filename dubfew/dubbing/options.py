"""Options of ``dub``: those of ``adapt`` and ``render`` that a first dub needs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from dubfew.adapt.options import AdaptOptions
from dubfew.render.options import RenderOptions
from dubfew.utils.options import borrow_option, document_fields, option, validate_options


@document_fields
@dataclass(frozen=True, kw_only=True)
class DubOptions:
    """Options of ``dubfew.dub`` and ``dubfew dub``."""

    actor: str | None = option(
        None,
        help="Actor who was learned before; default: the actor is learned from the scene itself, "
        "under the name of its file, unless that was done before.",
        metavar="ID",
    )
    draft: bool = borrow_option(AdaptOptions, "draft")
    consent: Path | str | None = borrow_option(AdaptOptions, "consent")
    face: str | None = borrow_option(AdaptOptions, "face")
    anyone: bool = borrow_option(RenderOptions, "anyone")
    transcript: Path | str | None = borrow_option(RenderOptions, "transcript")
    language: str | None = borrow_option(RenderOptions, "language")
    use: str | None = borrow_option(RenderOptions, "use")
    territory: str | None = borrow_option(RenderOptions, "territory")
    project: str | None = borrow_option(RenderOptions, "project")
    offset: float = borrow_option(RenderOptions, "offset")
    open: float = borrow_option(RenderOptions, "open")
    fit: str | None = borrow_option(RenderOptions, "fit")
    mix: str | None = borrow_option(RenderOptions, "mix")
    audio_track: int | None = borrow_option(RenderOptions, "audio_track")
    input_transform: str | None = borrow_option(RenderOptions, "input_transform")
    preview: bool = borrow_option(RenderOptions, "preview")
    report: Path | str | None = borrow_option(RenderOptions, "report")
    device: str = borrow_option(RenderOptions, "device")
    out: Path | str | None = borrow_option(RenderOptions, "out")
    overwrite: bool = borrow_option(RenderOptions, "overwrite")

    def __post_init__(self) -> None:
        validate_options(self)
