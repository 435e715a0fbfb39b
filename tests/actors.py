"""An actor that several rooms' tests share: adapted once per process, which takes seconds."""

from __future__ import annotations

import atexit
import shutil
import tempfile
from functools import cache
from importlib.resources import files
from pathlib import Path

from dubfew.adapt import adapt
from dubfew.registry import Registry
from tests.footage import cut


@cache
def mary_folder() -> Path:
    """A folder with ``mary.mp4``, ``dub.wav`` and ``home``, a registry with the actor mary."""
    folder = Path(tempfile.mkdtemp(prefix="dubfew-tests-mary-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    cut(folder / "mary.mp4", 0, 3)
    shutil.copy(str(files("dubfew.demo") / "dub.wav"), folder / "dub.wav")
    adapt(folder / "mary.mp4", steps=0, prior="warp", registry=Registry(folder / "home"))
    return folder
