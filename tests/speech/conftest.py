"""Fixtures of the speech tests."""

from __future__ import annotations

import pytest

from dubfew.speech.model import SpeechModel


@pytest.fixture(scope="session")
def model() -> SpeechModel:
    """The model that ships."""
    return SpeechModel.load_default()
