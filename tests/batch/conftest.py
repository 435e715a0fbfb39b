"""A registry with one actor, and batches whose workers are toys."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from dubfew.batch import run as batch_run
from dubfew.registry import Registry
from tests.actors import mary_folder
from tests.batch.toy_worker import ToyWorker


@pytest.fixture(scope="session")
def source() -> Path:
    """A folder with a registry, a clip and a sound."""
    return mary_folder()


@pytest.fixture
def work(source: Path, tmp_path: Path) -> Path:
    """A folder of one's own with a clip and a sound."""
    for name in ("mary.mp4", "dub.wav"):
        shutil.copy(source / name, tmp_path / name)
    return tmp_path


@pytest.fixture
def registry(source: Path) -> Registry:
    return Registry(source / "home")


@pytest.fixture(autouse=True)
def _toys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch_run, "BatchWorker", ToyWorker)
