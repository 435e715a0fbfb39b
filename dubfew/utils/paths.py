"""Location of a user's data."""

from __future__ import annotations

import os
from pathlib import Path

from platformdirs import user_data_dir


def default_data_dir() -> Path:
    """Return the folder for registry, priors and assets.

    Returns:
        ``DUBFEW_HOME`` if it is set, else the operating system's folder for a user's data.
    """
    home = os.environ.get("DUBFEW_HOME")
    return Path(home).expanduser() if home else Path(user_data_dir("dubfew", appauthor=False))
