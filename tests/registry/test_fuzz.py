"""Some inputs of each family of benchmarks/fuzz_registry.py."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.fuzz_registry import RegistryFuzzer

pytestmark = pytest.mark.slow


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_harm_is_refused_or_sound(tmp_path: Path) -> None:
    fuzz = RegistryFuzzer(tmp_path)
    fuzz.run(200)
    assert len(fuzz.tried) == 10
    assert sum(fuzz.tried.values()) >= 190
    assert all(fuzz.refused.values())
