"""Fixtures that every room's tests share."""

from __future__ import annotations

import os
import random
import signal
import sys
import threading
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# Before any test imports torch: it sets how torch's threads wait.
import dubfew  # noqa: F401

# Hypothesis draws the same examples in every run: a test fails where a change broke something, and
# not by chance. `pytest --hypothesis-profile=explore` looks for new ones. Neither measures time: a
# busy machine is no fault.
_PATIENT = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow]}
settings.register_profile("dubfew", derandomize=True, **_PATIENT)
settings.register_profile("explore", **_PATIENT)
settings.load_profile("dubfew")

# Where developers keep their own actors, keys and options is nothing to the tests, nor to the
# programs that they start.
for _name in ("DUBFEW_HOME", "DUBFEW_KEYS", "DUBFEW_PASSPHRASE", "DUBFEW_CONFIG"):
    os.environ.pop(_name, None)

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


def _seed_all() -> None:
    """Seed the global generators; those of packages that no test has imported stay unimported."""
    random.seed(0)
    if "numpy" in sys.modules:
        sys.modules["numpy"].random.seed(0)
    if "torch" in sys.modules:
        sys.modules["torch"].manual_seed(0)


@pytest.fixture(autouse=True, scope="module")
def _seeded_module() -> None:
    """Random numbers of a module's fixtures do not depend on which modules ran before."""
    _seed_all()


@pytest.fixture(autouse=True)
def _seeded_test(_seeded_module: None) -> None:
    """Random numbers of a test do not depend on which tests ran before."""
    _seed_all()
