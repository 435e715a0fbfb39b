"""Which speech model an actor's style belongs to."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from dubfew.errors import ArtefactError
from dubfew.speech.model import SpeechModel
from dubfew.speech.model_info import shipped_model
from dubfew.speech.resolve_model import model_facts, model_of_actor


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """A model of the user's."""
    path = tmp_path / "own.safetensors"
    path.write_bytes(shipped_model().read_bytes())
    return path


def test_the_shipped_model_needs_no_facts() -> None:
    assert model_facts(None) is None
    assert model_of_actor(None) is SpeechModel.load_default()


def test_an_own_model_is_found_again_where_it_was_or_is(own: Path, tmp_path: Path) -> None:
    facts = json.loads(json.dumps(model_facts(own)))
    assert isinstance(model_of_actor(facts), SpeechModel)
    moved = own.rename(tmp_path / "moved.safetensors")
    with pytest.raises(ArtefactError, match=r"own\.safetensors .* name it with --speech"):
        model_of_actor(facts)
    assert isinstance(model_of_actor(facts, moved), SpeechModel)


def test_another_model_is_refused(own: Path) -> None:
    facts = model_facts(own)
    SpeechModel(
        SpeechModel.load_default().network, SpeechModel.load_default().space, training={"seed": 9}
    ).save(own)
    for path in (None, own):
        with pytest.raises(ArtefactError, match="is not the speech model"):
            model_of_actor(facts, path)
    with pytest.raises(ArtefactError, match="adapt them anew"):
        model_of_actor(None, own)
