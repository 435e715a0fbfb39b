"""Audio encoders: interchangeable front ends that turn sound into features for the network.

Each module without an underscore is one entry of `AUDIO_ENCODERS` and defines
``make_encoder(name, layer)`` and ``check_encoder(metadata)``. To add an encoder, add a file with a
class that has the members of `AudioEncoder` and these two functions; its file name is what ``dubfew
speech train --encoder`` takes and what stored models name. Behind a colon an entry may take more:
``whisper:FOLDER``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from dubfew.errors import ArtefactError
from dubfew.speech.encoders._base import (
    MEL_FRAMES_PER_ROW,
    ROW_SAMPLES,
    ROW_SECONDS,
    WHOLE_ENCODER,
    AudioEncoder,
    EncodedAudio,
    EncoderState,
)
from dubfew.utils.extension_table import ExtensionTable

__all__ = [
    "AUDIO_ENCODERS",
    "DEFAULT_ENCODER_NAME",
    "MEL_FRAMES_PER_ROW",
    "ROW_SAMPLES",
    "ROW_SECONDS",
    "WHOLE_ENCODER",
    "AudioEncoder",
    "EncodedAudio",
    "EncoderState",
    "check_stored_encoder",
    "load_encoder",
    "load_stored_encoder",
]

# Encoder of the model that ships, and of trainings that name none: it needs no download, and is
# nearly as good as the network that it has learned from (docs/speech.md).
DEFAULT_ENCODER_NAME = "distilled"

# Entry for all other names, which are folders or repositories of weights.
_FALLBACK_ENTRY = "transformers"

AUDIO_ENCODERS: ExtensionTable[Callable[[str, int | None], AudioEncoder]] = ExtensionTable(
    "audio encoder",
    "dubfew.speech.encoders",
    "make_encoder",
    ArtefactError,
    entry_points="dubfew.encoders",
)


# How each entry finds out whether an encoder is there, without loading it.
_ENCODER_CHECKS: ExtensionTable[Callable[[dict[str, Any]], EncoderState]] = ExtensionTable(
    "audio encoder",
    "dubfew.speech.encoders",
    "check_encoder",
    ArtefactError,
    entry_points="dubfew.encoders",
)


def load_encoder(name: str = DEFAULT_ENCODER_NAME, layer: int | None = None) -> AudioEncoder:
    """Load an audio encoder by name.

    Args:
        name: an entry of `AUDIO_ENCODERS` such as ``mel``, perhaps with a colon and a path; any
            other text is a folder or a Hugging Face name for
            `encoders.transformers.TransformersEncoder`.
        layer: number of the encoder's blocks that are computed, 0 for its convolutions alone; None
            is the encoder's own choice, `WHOLE_ENCODER` all of it.

    Raises:
        ArtefactError: There is no such encoder, or it has no such layer.
        MissingDependencyError: The encoder needs a package that is not installed.

    Example:
        >>> load_encoder("mel").feature_dim
        80
    """
    return AUDIO_ENCODERS.load(_find_entry(name))(name, layer)


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
        MissingDependencyError: The encoder needs a package that is not installed.
    """
    name = new_name or str(stored_metadata["name"])
    # Models that name no layer are older than the choice.
    encoder = load_encoder(name, stored_metadata.get("layer", WHOLE_ENCODER))
    found = encoder.metadata()
    # The name may differ (the folder was moved); weights and sizes may not.
    if {**stored_metadata, "name": ""} != {**found, "name": ""}:
        raise ArtefactError(
            f"the encoder {name} is not the one that the model was trained with "
            f"({stored_metadata['name']}): name the folder where that is"
        )
    return encoder


def check_stored_encoder(stored_metadata: dict[str, Any]) -> EncoderState:
    """Find out whether the encoder of a stored model is there; no weights are loaded.

    Args:
        stored_metadata: output of `AudioEncoder.metadata` from the model's file.
    """
    entry = _find_entry(str(stored_metadata["name"]))
    if entry not in _ENCODER_CHECKS:
        return EncoderState(True, "registered by this program")
    return _ENCODER_CHECKS.load(entry)(stored_metadata)


def _find_entry(name: str) -> str:
    """Find the entry that a name of an encoder belongs to."""
    entry = name.partition(":")[0]
    return entry if entry in AUDIO_ENCODERS else _FALLBACK_ENTRY
