"""Options of ``track``, and those that it shares with ``adapt`` and ``render``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from dubfew.reconstruction.fitting.methods import TRACKING_METHODS
from dubfew.reconstruction.heads.loaders import HEAD_LOADERS
from dubfew.reconstruction.segmenters import DEFAULT_SEGMENTER, SEGMENTERS
from dubfew.utils.options import document_fields, option, validate_options

IDENTITY_SOURCES = ("auto", "landmarks", "mica")
# Names of head models for help texts. They are not choices, because an edition of a model, such as
# "flame-0123abcd", is a name as well.
HEAD_NAMES = " or ".join(HEAD_LOADERS.names)
# A loaded `dubfew.reconstruction.heads.head_model.HeadModel`. It is not imported here, because
# that needs numpy, and `dubfew --help` should not wait for it.
LoadedHeadModel = Any


def face_option(default: str) -> Any:
    """Make the option that chooses one of several faces.

    Args:
        default: words for the face that is used when the option is not given.
    """
    return option(
        None,
        help="Face to use where there are several: its number, largest, or its place X,Y in px; "
        f"default: {default}.",
        metavar="WHO",
    )


def segmenter_option() -> Any:
    """Make the option that chooses the network which labels the pixels of a face."""
    return option(
        DEFAULT_SEGMENTER,
        help="Network that labels the pixels of a face. facer (FaRL) also finds objects in front "
        "of the mouth; it needs the extra segmentation.",
        choices=SEGMENTERS,
    )


@document_fields
@dataclass(frozen=True, kw_only=True)
class TrackOptions:
    """Options of ``dubfew.track`` and ``dubfew track``."""

    head: str | LoadedHeadModel = option("lite", help=f"Head model: {HEAD_NAMES}.", metavar="NAME")
    method: str = option(
        "landmarks",
        help="Data that the head is fitted to: the landmarks, or the landmarks and then the "
        "pixels (photometric; photometric_adam by a differentiable renderer, which is slow).",
        choices=TRACKING_METHODS,
    )
    face: str | None = face_option(default="the one that is seen most")
    segmenter: str = segmenter_option()
    identity: str = option(
        "auto",
        help="Source of the head's shape: the landmarks or the network MICA; auto: MICA where it "
        "is registered.",
        choices=IDENTITY_SOURCES,
    )
    start: int = option(
        0,
        help="First frame to track. Times stay those of the whole clip.",
        minimum=0,
        unit="frames",
        on_command_line=False,
    )
    stop: int | None = option(
        None,
        help="Frame before which tracking stops; default: the end of the clip.",
        minimum=0,
        unit="frames",
        on_command_line=False,
    )

    def __post_init__(self) -> None:
        validate_options(self)
