"""Kills of a writer at random moments; benchmarks/registry_crash.py runs longer."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from benchmarks.registry_crash import kill_writers

pytestmark = pytest.mark.slow


@pytest.mark.skipif(os.name == "nt", reason="needs SIGKILL")
def test_kills_at_random_moments_do_no_damage(home: Path) -> None:
    found = kill_writers(home, kills=8, seed=1)
    assert found.wrong == []
    assert found.kills == 8
    assert found.inside > 2
    assert sum(found.operations.values()) >= 8
