"""Fixtures of the registry's tests."""

from __future__ import annotations

from pathlib import Path

import pytest

from dubfew.registry import Registry


@pytest.fixture(autouse=True)
def cheap_scrypt(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lower the cost of scrypt, which makes guessing slow and would make the tests slow, too."""
    monkeypatch.setattr("dubfew.registry.sealing.SCRYPT_LOG2_N", 4)
    monkeypatch.setattr("dubfew.registry.tombstones.SCRYPT_LOG2_N", 4)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


@pytest.fixture
def registry(home: Path) -> Registry:
    return Registry(home)
