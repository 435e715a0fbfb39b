from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from dubfew.data.footage_io import save_footage
from tests.adapt.toys import toy_prior
from tests.data.people import toy_footage

FRAMES = 60


@dataclass(frozen=True)
class Toys:
    """A small prior and one prepared clip, and the options that name them."""

    prior: Path
    prepared: Path
    clip: Path

    def options(self, out: Path) -> list[str]:
        folders = ["--prepared", str(self.prepared), "--footage", str(self.prepared)]
        return [*folders, "--prior", str(self.prior), "--out", str(out), "--quick"]


@pytest.fixture(scope="session")
def toys(tmp_path_factory: pytest.TempPathFactory) -> Toys:
    folder = tmp_path_factory.mktemp("toys")
    toy_prior().save(folder / "prior", {}, "")
    save_footage(folder / "footage" / "toy.mp4.safetensors", toy_footage(FRAMES, shade=0.3), {})
    return Toys(folder / "prior", folder / "footage", folder / "footage" / "toy.mp4")
