"""Processes of the real product at once on one registry; see benchmarks/registry_together.py."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from benchmarks.registry_together import run_together
from tests.footage import cut

pytestmark = pytest.mark.slow


def test_an_adapt_and_a_render_at_once_and_a_deletion_in_between(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in os.environ if name.startswith("DUBFEW_")]:
        monkeypatch.delenv(name)
    clip = cut(tmp_path / "clip.mp4", 0, 12)
    found = run_together(tmp_path, clip, adapts=1, renders=1, prior="warp", steps=0, seconds=0.4)
    assert found.wrong == []
    assert (found.actors, found.revisions) == (1, 1)
    assert found.entries == 4  # two adapts, a render, the deletion
