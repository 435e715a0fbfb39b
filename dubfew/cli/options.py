"""Arguments and options that several commands share, and the choices of others."""

from __future__ import annotations

import math
from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

JsonOption = Annotated[
    bool, typer.Option("--json", help="Print the result as one JSON object, the last line.")
]
DeviceOption = Annotated[
    str, typer.Option(metavar="D", help="auto, cpu, cuda or cuda:N.", show_default=True)
]
VideoArgument = Annotated[Path, typer.Argument(metavar="VIDEO", help="Footage of one person.")]
ActorArgument = Annotated[str, typer.Argument(metavar="ID", help="The actor's id.")]
PriorOption = Annotated[
    str | None,
    typer.Option(metavar="P", help="Name or folder of a prior; default: the one that ships."),
]

FaceOption = Annotated[
    str | None,
    typer.Option(
        "--face",
        metavar="WHO",
        help="N, largest, or X,Y in px, where there are several; default: who is seen most.",
    ),
]
SceneFaceOption = Annotated[
    str | None,
    typer.Option(
        "--face",
        metavar="WHO",
        help="N, largest, or X,Y in px, where there are several; default: who is most like ID.",
    ),
]
HeadOption = Annotated[
    str, typer.Option("--head", metavar="NAME", help="Head model: lite, or flame.")
]


def _check_positive(value: float | None) -> float | None:
    if value is not None and not (0 < value < math.inf):
        raise typer.BadParameter("a number of seconds above 0 is needed")
    return value


SecondsOption = Annotated[
    float | None,
    typer.Option(
        metavar="S", callback=_check_positive, help="Use the best S seconds; default: 10."
    ),
]
SeedOption = Annotated[
    int, typer.Option(metavar="N", min=0, max=2**63 - 1, help="Seed of everything random.")
]


class MethodChoice(str, Enum):
    """What is learned of an actor."""

    texture = "texture"
    lora = "lora"
    full = "full"


class TrackMethodChoice(str, Enum):
    """What a head is fitted to."""

    landmarks = "landmarks"
    photometric = "photometric"


class SegmenterChoice(str, Enum):
    """Who says what the pixels of a face show."""

    mediapipe = "mediapipe"
    facer = "facer"


SegmenterOption = Annotated[
    SegmenterChoice,
    typer.Option(
        "--segmenter",
        help="facer: FaRL's face parsing looks for things before the mouth, too; needs the "
        "extra segmentation.",
    ),
]


class DriveChoice(str, Enum):
    """Where the mouth motion comes from."""

    audio = "audio"
    video = "video"
    self = "self"


class FitChoice(str, Enum):
    """What happens when audio and video differ in length."""

    trim = "trim"
    loop = "loop"
    hold = "hold"


class IdentityChoice(str, Enum):
    """Where the shape of a head comes from."""

    auto = "auto"
    landmarks = "landmarks"
    mica = "mica"


class EngineChoice(str, Enum):
    """Where clips are prepared."""

    local = "local"
    ray = "ray"


class IdentityByChoice(str, Enum):
    """Whose a clip is that no list names."""

    folder = "folder"
    file = "file"
