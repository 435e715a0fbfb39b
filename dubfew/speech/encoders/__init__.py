"""Audio encoders: interchangeable front ends that turn sound into features for the network.

Each module without an underscore is one entry of `AUDIO_ENCODERS` and defines
``make_encoder(name)``. To add an encoder, add a file with a class that has the members of
`AudioEncoder` and a ``make_encoder``; its file name is what ``dubfew speech train --encoder`` takes
and what stored models name.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from dubfew.errors import ArtefactError
from dubfew.speech.encoders._base import (
    MEL_FRAMES_PER_ROW,
    ROW_SAMPLES,
    ROW_SECONDS,
    AudioEncoder,
    EncodedAudio,
)
from dubfew.utils.extension_table import ExtensionTable

__all__ = [
    "AUDIO_ENCODERS",
    "DEFAULT_ENCODER_NAME",
    "MEL_FRAMES_PER_ROW",
    "ROW_SAMPLES",
    "ROW_SECONDS",
    "AudioEncoder",
    "EncodedAudio",
    "load_encoder",
    "load_stored_encoder",
]

# Encoder of the model that ships, and of trainings that name none: it needs no download, and
# costs a small part of what the network behind it does.
DEFAULT_ENCODER_NAME = "mel"

# Entry for all other names, which are folders or repositories of weights.
_FALLBACK_ENTRY = "transformers"

AUDIO_ENCODERS: ExtensionTable[Callable[[str], AudioEncoder]] = ExtensionTable(
    "audio encoder", "dubfew.speech.encoders", "make_encoder", ArtefactError
)


def load_encoder(name: str = DEFAULT_ENCODER_NAME) -> AudioEncoder:
    """Load an audio encoder by name.

    Args:
        name: an entry of `AUDIO_ENCODERS` such as ``mel``; any other text is a folder or a Hugging
            Face name for `encoders.transformers.TransformersEncoder`.

    Raises:
        ArtefactError: There is no such encoder.
        MissingDependencyError: The encoder needs transformers, which is not installed.

    Example:
        >>> load_encoder("mel").feature_dim
        80
    """
    entry = name if name in AUDIO_ENCODERS else _FALLBACK_ENTRY
    return AUDIO_ENCODERS.load(entry)(name)


def load_stored_encoder(
    stored_metadata: dict[str, Any], new_name: str | None = None
) -> AudioEncoder:
    """Load the encoder that a stored model was trained with.

    Args:
        stored_metadata: output of `AudioEncoder.metadata` from the model's file.
        new_name: present folder or name of the encoder if it has moved since the training; None
            uses the stored one.

    Raises:
        ArtefactError: The encoder is gone, or another one is in its place.
        MissingDependencyError: The encoder needs transformers, which is not installed.
    """
    name = new_name or str(stored_metadata["name"])
    encoder = load_encoder(name)
    found = encoder.metadata()
    # The name may differ (the folder was moved); weights and sizes may not.
    if {**stored_metadata, "name": ""} != {**found, "name": ""}:
        raise ArtefactError(
            f"the encoder {name} is not the one that the model was trained with "
            f"({stored_metadata['name']}): name the folder where that is"
        )
    return encoder
