"""Where a user's data lies."""

from __future__ import annotations

import os
from pathlib import Path

from platformdirs import user_data_dir


def default_data_dir() -> Path:
    """``DUBFEW_HOME``, or the system's folder for a user's data."""
    named = os.environ.get("DUBFEW_HOME")
    return Path(named).expanduser() if named else Path(user_data_dir("dubfew", appauthor=False))
