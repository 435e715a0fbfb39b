"""Fixtures that every room's tests share."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def shared() -> Path:
    """Real footage beside the checkout, for development and CI; a user's clone has none."""
    folder = Path(__file__).resolve().parents[2] / "shared"
    if not (folder / "clips" / "manifest.json").exists():
        pytest.skip("no ../shared with real footage beside this checkout")
    return folder
