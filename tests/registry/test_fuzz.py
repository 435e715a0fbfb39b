"""The families of hostile inputs of benchmarks/fuzz_registry.py, some of each."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.fuzz_registry import Fuzz


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_harm_is_refused_or_sound(tmp_path: Path) -> None:
    fuzz = Fuzz(tmp_path)
    fuzz.run(200)
    assert len(fuzz.tried) == 10
    assert sum(fuzz.tried.values()) >= 190
    assert all(fuzz.refused.values())
