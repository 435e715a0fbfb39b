"""A registry with one actor, and batches whose workers are toys."""

from __future__ import annotations

import shutil
from importlib.resources import files
from pathlib import Path

import pytest

from dubfew.adapt import adapt
from dubfew.batch import run as batch_run
from dubfew.registry import Registry
from tests.batch.toy_worker import ToyWorker
from tests.footage import cut


@pytest.fixture(scope="session")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a registry, a clip and a sound."""
    folder = tmp_path_factory.mktemp("source")
    cut(folder / "mary.mp4", 0, 3)
    shutil.copy(str(files("dubfew.demo") / "dub.wav"), folder / "dub.wav")
    adapt(folder / "mary.mp4", steps=0, prior="warp", registry=Registry(folder / "home"))
    return folder


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
