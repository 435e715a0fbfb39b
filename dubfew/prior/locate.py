"""Find priors on this machine by the hash of their weights.

The shipped priors are known. Another prior is in a folder of the user's, and an actor that was
imported names a folder on another machine. So ``actors import --prior`` notes the folder on this
one: the file ``<home>/priors/<sha256>`` holds its path.
"""

from __future__ import annotations

import re
from pathlib import Path

from dubfew.errors import ArtefactError
from dubfew.prior.checkpoint import UNTRAINED_PRIOR, PriorInfo, list_priors, prior_info
from dubfew.utils.files import write_atomic

# Folder of these notes in the registry's home. Changing it makes noted priors unknown.
PRIOR_PATHS_FOLDER = "priors"


def find_prior(home: Path, sha256: str) -> str | None:
    """Find the prior with given weights.

    Args:
        home: home folder of the registry.
        sha256: SHA-256 of the weights; "" for ``warp``, whose weights are not stored.

    Returns:
        Name or folder, as `Prior.load` takes it; None if the prior is not known, or has other
        weights by now.
    """
    if not sha256:
        return UNTRAINED_PRIOR
    for info in list_priors():
        if info.sha256 == sha256:
            return info.name
    # The text may come from an imported actor: only a hash may become part of a path.
    note = home / PRIOR_PATHS_FOLDER / sha256
    if not re.fullmatch("[0-9a-f]{64}", sha256) or not note.is_file():
        return None
    # The folder may hold another prior by now, or none.
    noted = note.read_text(encoding="utf-8")
    try:
        return noted if prior_info(noted).sha256 == sha256 else None
    except ArtefactError:
        return None


def register_prior_path(home: Path, info: PriorInfo) -> None:
    """Record the folder of a prior for `find_prior`.

    Args:
        home: home folder of the registry; made where it is missing.
        info: facts about the prior.
    """
    folder = home / PRIOR_PATHS_FOLDER
    # The home also holds keys: nobody else may list it.
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    folder.mkdir(exist_ok=True)
    write_atomic(folder / info.sha256, str(info.path.resolve()).encode())


def copy_prior_paths(home: Path, other: Path) -> None:
    """Copy what `register_prior_path` has recorded into another home folder.

    Args:
        home: home folder, which need not exist.
        other: home folder to copy to.
    """
    for note in (home / PRIOR_PATHS_FOLDER).glob("*"):
        (other / PRIOR_PATHS_FOLDER).mkdir(parents=True, exist_ok=True)
        write_atomic(other / PRIOR_PATHS_FOLDER / note.name, note.read_bytes())
