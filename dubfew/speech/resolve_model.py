"""The speech model that an actor's style belongs to: the one that ships, or a user's own."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dubfew.errors import ArtefactError
from dubfew.speech.model import SpeechModel
from dubfew.utils.files import sha256_file


def make_model_reference(path: Path | None) -> dict[str, Any] | None:
    """Describe a speech model in an adapter, so that `resolve_speech_model` finds it again.

    Args:
        path: file of a user's own model; None stands for the model that ships.

    Returns:
        Path and SHA-256 of the file; None for the model that ships.
    """
    return None if path is None else {"path": str(path.resolve()), "sha256": sha256_file(path)}


def resolve_speech_model(
    model_reference: Mapping[str, Any] | None, path: Path | None = None
) -> SpeechModel:
    """Load the model that an actor's style was fitted to.

    Args:
        model_reference: output of `make_model_reference` from the time of the adaptation.
        path: present path of the model if it has moved.

    Raises:
        ArtefactError: The model is gone, or the file is another model.
        MissingDependencyError: The model's encoder needs a package that is not installed.
    """
    if model_reference is None:
        if path is not None:
            raise ArtefactError(
                f"this actor's style belongs to the speech model that ships, not to {path}: "
                "adapt them anew with --speech"
            )
        return SpeechModel.load_default()
    found = Path(model_reference["path"]) if path is None else path
    # A style fits one model only: same path or not, the hash must agree.
    if not found.is_file():
        raise ArtefactError(
            f"the speech model {found} that this actor's style belongs to is not there: name it "
            "with --speech"
        )
    if sha256_file(found) != model_reference["sha256"]:
        raise ArtefactError(
            f"{found} is not the speech model that this actor's style belongs to: name that one "
            "with --speech, or adapt them anew"
        )
    return SpeechModel.load(found)
