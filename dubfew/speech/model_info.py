"""Facts about a stored speech model, read without loading its weights."""

from __future__ import annotations

import math
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from safetensors import safe_open

from dubfew.errors import ArtefactError
from dubfew.speech.encoders import EncoderState, check_stored_encoder
from dubfew.utils.files import sha256_file
from dubfew.utils.format_version import check_format_version
from dubfew.utils.safetensors_io import TENSOR_READ_ERRORS, read_header

# Version of the file format. 1: one network, mel bands only; 2: several networks, and the header
# names the encoder and the training; 3: there may be classifiers of closures and of music beside
# the networks.
SPEECH_FORMAT_VERSION = 3
# Oldest version that is read.
_OLDEST_SPEECH_FORMAT_VERSION = 2
# File name of the model card beside a model.
MODEL_CARD_NAME = "CARD.md"


@dataclass(frozen=True)
class SpeechInfo:
    """A stored speech model.

    Attributes:
        path: the file.
        sha256: SHA-256 of the file, hexadecimal.
        bytes: size of the file.
        weights: number of weights of the networks.
        encoder: whether the audio encoder that the model needs is there.
        header: sizes of the network and facts about the training, from the file.
        card: text of the model card beside the file; empty without one.
    """

    path: Path
    sha256: str
    bytes: int
    weights: int
    encoder: EncoderState
    header: dict[str, Any]
    card: str


def shipped_speech_model_path() -> Path:
    """Return the path of the model that ships with dubfew."""
    return Path(str(files("dubfew.speech") / "weights" / "speech.safetensors"))


def read_speech_info(path: Path | None = None) -> SpeechInfo:
    """Read the facts about a speech model, by default the one that ships.

    Raises:
        ArtefactError: The file is not a speech model, or has a format that this dubfew does not
            read.
    """
    path = shipped_speech_model_path() if path is None else path
    header = read_speech_header(path)
    # Shapes are in the file's header: no weight is read to count them.
    with safe_open(str(path), framework="numpy") as file:
        names = [name for name in file.keys() if name.startswith("network.")]  # noqa: SIM118
        weights = sum(math.prod(file.get_slice(name).get_shape()) for name in names)
    card = path.with_name(MODEL_CARD_NAME)
    return SpeechInfo(
        path=path,
        sha256=sha256_file(path),
        bytes=path.stat().st_size,
        weights=weights,
        encoder=check_stored_encoder(header["encoder"]),
        # The list of mouth points is long and the same in every model.
        header={name: header[name] for name in header if name != "points"},
        card=card.read_text("utf-8") if card.is_file() else "",
    )


def read_speech_header(path: Path) -> dict[str, Any]:
    """Read and check the header of a speech model.

    Raises:
        ArtefactError: The file is not a speech model, or has a format that this dubfew does not
            read.
    """
    try:
        header = read_header(path, "dubfew.speech")
        version = header["format_version"]
    except (OSError, *TENSOR_READ_ERRORS) as error:
        raise ArtefactError(
            f"{path} is not a dubfew speech model: make one with `dubfew speech train`"
        ) from error
    version = check_format_version(version, SPEECH_FORMAT_VERSION, str(path))
    if version < _OLDEST_SPEECH_FORMAT_VERSION:
        raise ArtefactError(f"{path} was trained by an earlier dubfew: train it anew")
    return header
