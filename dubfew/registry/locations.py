"""Folders of a registry: the data under the home folder, the keys apart from it.

Imports nothing that encrypts, so that listing the actors stays fast.
"""

from __future__ import annotations

import os
from pathlib import Path

from platformdirs import user_config_dir, user_data_dir

from dubfew.errors import RegistryError
from dubfew.utils.paths import default_data_dir

# Names below the home folder. They are part of the stored format.
INDEX_FILE_NAME = "registry.sqlite"
DELETIONS_FOLDER_NAME = "deletions"


def resolve_folders(home: Path | None, keys: Path | None) -> tuple[Path, Path]:
    """Return the home folder and the folder of keys as absolute paths.

    Args:
        home: folder of the data; by default `default_data_dir`.
        keys: folder of the keys; by default `default_keys_folder`.

    Raises:
        RegistryError: The keys would lie among the data that they protect.
    """
    home = (Path(home) if home is not None else default_data_dir()).absolute()
    keys = (Path(keys) if keys is not None else default_keys_folder(home)).absolute()
    if keys.is_relative_to(home):
        raise RegistryError(
            f"the keys {keys} would lie inside the data {home}, so that whoever "
            "copies one has both: name a folder outside in DUBFEW_KEYS"
        )
    return home, keys


def default_keys_folder(home: Path) -> Path:
    """Return the folder of keys for the registry at ``home``.

    ``DUBFEW_KEYS`` if it is set; else for the default home the system's folder for a user's
    configuration, which backups and synchronization of data leave out; else ``<home>-keys``.
    """
    named = os.environ.get("DUBFEW_KEYS")
    if named:
        return Path(named).expanduser().absolute()
    if home == Path(user_data_dir("dubfew", appauthor=False)):
        # Not a folder in "dubfew": where data and configuration are one folder, as on macOS
        # and Windows, the keys would lie inside the data.
        return Path(user_config_dir("dubfew-keys", appauthor=False))
    return home.with_name(f"{home.name}-keys")
