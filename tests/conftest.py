"""Fixtures that every room's tests share."""

from __future__ import annotations

import signal
import threading
from pathlib import Path

import pytest

# A shell that runs the tests in the background has them ignore Ctrl-C, and every program that they
# start inherits that: what an interruption does could not be tested.
if (
    signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    and threading.current_thread() is threading.main_thread()
):
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def shared() -> Path:
    """Real footage beside the checkout, for development and CI; a user's clone has none."""
    folder = Path(__file__).resolve().parents[2] / "shared"
    if not (folder / "clips" / "manifest.json").exists():
        pytest.skip("no ../shared with real footage beside this checkout")
    return folder
