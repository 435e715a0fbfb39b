"""The list of all actors, read from the index alone.

`dubfew actors list` answers in 0.2 s because this module imports neither the cipher nor the file
lock, which together take as long as everything else. `Registry.list` returns the same revisions
ready for reading.
"""

from __future__ import annotations

from pathlib import Path

from dubfew.registry.index import RegistryIndex, RevisionRow
from dubfew.registry.locations import DELETIONS_FOLDER_NAME, INDEX_FILE_NAME, resolve_folders


def list_default_revisions(home: Path | None = None, keys: Path | None = None) -> list[RevisionRow]:
    """List the default revision of every actor, by id, without any key.

    Args:
        home: folder of the data; by default `default_data_dir`.
        keys: folder of the keys; by default `locations.default_keys_folder`.

    Raises:
        RegistryError: The index cannot be read, or the keys would lie inside the data.
    """
    home, keys = resolve_folders(home, keys)
    index = RegistryIndex(home / INDEX_FILE_NAME)
    if not _is_ready(home, index):
        # Finishing a deletion or encrypting an old registry needs all of it.
        from dubfew.registry.registry import Registry

        Registry(home, keys).list()
    return index.default_revisions() if index.exists() else []


def _is_ready(home: Path, index: RegistryIndex) -> bool:
    """Whether no deletion is pending and the index has the newest format or does not exist."""
    deletions = home / DELETIONS_FOLDER_NAME
    if deletions.is_dir() and any(deletions.iterdir()):
        return False
    return not index.exists() or index.load_registry_identity() is not None
