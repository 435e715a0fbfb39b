"""Which priors this installation has, by the hash of their weights.

Those that ship are known; others lie where the user put them. An actor that came from elsewhere
names such a place on another machine, so that ``actors import --prior`` notes the place here:
``<home>/priors/<sha256>`` holds the path of a folder.
"""

from __future__ import annotations

import re
from pathlib import Path

from dubfew.errors import ArtefactError
from dubfew.prior.checkpoint import UNTRAINED_PRIOR, PriorInfo, list_priors, prior_info
from dubfew.utils.files import write_atomic

PRIOR_PATHS_FOLDER = "priors"


def find_prior(home: Path, sha256: str) -> str | None:
    """The prior with these weights, as ``Prior.load`` takes it; None when it is not known.

    Args:
        home: of the registry.
        sha256: of the weights; empty for ``warp``, which has none.
    """
    if not sha256:
        return UNTRAINED_PRIOR
    for info in list_priors():
        if info.sha256 == sha256:
            return info.name
    # What names a file must be a hash and nothing else.
    note = home / PRIOR_PATHS_FOLDER / sha256
    if not re.fullmatch("[0-9a-f]{64}", sha256) or not note.is_file():
        return None
    noted = note.read_text(encoding="utf-8")
    try:
        return noted if prior_info(noted).sha256 == sha256 else None
    except ArtefactError:
        return None


def register_prior_path(home: Path, info: PriorInfo) -> None:
    """Remember where a prior is."""
    folder = home / PRIOR_PATHS_FOLDER
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    folder.mkdir(exist_ok=True)
    write_atomic(folder / info.sha256, str(info.path.resolve()).encode())
