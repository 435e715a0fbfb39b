"""Which speech model an actor's style belongs to."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from dubfew.errors import ArtefactError
from dubfew.speech.model import SpeechModel
from dubfew.speech.model_info import shipped_speech_model_path
from dubfew.speech.resolve_model import make_model_reference, resolve_speech_model


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """A model of the user's."""
    path = tmp_path / "own.safetensors"
    path.write_bytes(shipped_speech_model_path().read_bytes())
    return path


def test_the_shipped_model_needs_no_facts() -> None:
    assert make_model_reference(None) is None
    assert resolve_speech_model(None) is SpeechModel.load_default()


def test_an_own_model_is_found_again_where_it_was_or_is(own: Path, tmp_path: Path) -> None:
    facts = json.loads(json.dumps(make_model_reference(own)))
    assert isinstance(resolve_speech_model(facts), SpeechModel)
    moved = own.rename(tmp_path / "moved.safetensors")
    with pytest.raises(ArtefactError, match=r"own\.safetensors .* name it with --speech"):
        resolve_speech_model(facts)
    assert isinstance(resolve_speech_model(facts, moved), SpeechModel)


def test_another_model_is_refused(own: Path) -> None:
    facts = make_model_reference(own)
    SpeechModel(
        SpeechModel.load_default().network,
        SpeechModel.load_default().space,
        training_info={"seed": 9},
    ).save(own)
    for path in (None, own):
        with pytest.raises(ArtefactError, match="is not the speech model"):
            resolve_speech_model(facts, path)
    with pytest.raises(ArtefactError, match="adapt them anew"):
        resolve_speech_model(None, own)
