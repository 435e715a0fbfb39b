"""Which speech model an actor's style belongs to: the one that ships, or a user's own."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dubfew.errors import ArtefactError
from dubfew.speech.model import SpeechModel
from dubfew.utils.files import sha256_file


def make_model_reference(path: Path | None) -> dict[str, Any] | None:
    """What an adapter has to say of the model that its style was fitted to; None of the shipped."""
    return None if path is None else {"path": str(path.resolve()), "sha256": sha256_file(path)}


def resolve_speech_model(
    model_reference: Mapping[str, Any] | None, path: Path | None = None
) -> SpeechModel:
    """The model that an actor's style was fitted to.

    Args:
        model_reference: what `make_model_reference` gave when they were adapted.
        path: where the model is now, if it has moved.

    Raises:
        ArtefactError: it is gone, or it is another one.
        MissingDependencyError: its encoder needs transformers, which is not installed.
    """
    if model_reference is None:
        if path is not None:
            raise ArtefactError(
                f"this actor's style belongs to the speech model that ships, not to {path}: "
                "adapt them anew with --speech"
            )
        return SpeechModel.load_default()
    found = Path(model_reference["path"]) if path is None else path
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
