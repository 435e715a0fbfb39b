"""What the registry's tests share."""

from __future__ import annotations

from pathlib import Path

import pytest

from dubfew.registry import Registry


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


@pytest.fixture
def registry(home: Path) -> Registry:
    return Registry(home)
