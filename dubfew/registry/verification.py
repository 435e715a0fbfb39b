"""Comparison of index, files and keys: nothing may be missing, changed or left over."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from dubfew.errors import RegistryError
from dubfew.registry import cipher
from dubfew.registry.backend import RegistryBackend
from dubfew.registry.index import RevisionRow
from dubfew.registry.storage import file_context
from dubfew.utils.files import sha256_file


@dataclass(frozen=True)
class IntegrityFault:
    """One difference between the index and the disk.

    Attributes:
        actor: id of the actor; empty if unknown.
        found: description, one line.
    """

    actor: str
    found: str


@dataclass(frozen=True)
class IntegrityReport:
    """Result of `Registry.verify`.

    Attributes:
        actors: number of actors.
        revisions: number of revisions.
        files: number of stored files.
        bytes: their size on disk, bytes.
        recovered: leftovers of killed processes that were removed.
        faults: differences that only a person can resolve.
    """

    actors: int
    revisions: int
    files: int
    bytes: int
    recovered: tuple[str, ...]
    faults: tuple[IntegrityFault, ...]

    @property
    def ok(self) -> bool:
        """Whether no fault was found."""
        return not self.faults


def find_faults(backend: RegistryBackend) -> Iterator[IntegrityFault]:
    """Yield every fault of a registry.

    Without the registry's lock, unfinished changes of other processes look like faults. The keys
    are unwrapped, so a passphrase may be needed; files are hashed, not decrypted.
    """
    # Every actor has a revision and a key that opens.
    actors = backend.index.actors_by_folder()
    rows = backend.index.revisions()
    with_revisions = {row.folder for row in rows}
    keys: dict[str, bytes] = {}
    for folder, actor in sorted(actors.items()):
        if folder not in with_revisions:
            yield IntegrityFault(actor, "the index has no revision of the actor")
        try:
            keys[folder] = backend.keys.load_key(folder)
        except RegistryError as error:
            yield IntegrityFault(actor, str(error))
    # Every file is there and is what was stored.
    for row in rows:
        yield from _revision_faults(row, backend, keys.get(row.folder))
    # Nothing else is there: folders, keys, revisions.
    for folder in sorted(backend.storage.actor_folders() - set(actors)):
        yield IntegrityFault("", f"the folder actors/{folder} belongs to nobody in the index")
    for folder in sorted(backend.keys.actor_folders() - set(actors)):
        yield IntegrityFault("", f"the key {folder} belongs to nobody in the index")
    numbers = backend.index.revision_numbers()
    for folder, actor in sorted(actors.items()):
        known = {str(number) for number in numbers.get(folder, ())}
        for entry in sorted(backend.storage.list_actor_folder(folder) - known):
            yield IntegrityFault(
                actor, f"the folder actors/{folder}/{entry} is not a revision in the index"
            )


def _revision_faults(
    row: RevisionRow, backend: RegistryBackend, key: bytes | None
) -> Iterator[IntegrityFault]:
    """Yield the faults of one revision; without a key its files are only hashed."""
    folder = backend.storage.revision_folder(row.folder, row.number)
    files = backend.index.files(row.folder, row.number)
    # The size in the revision's row is for listings, the others are the truth.
    if sum(file.bytes for file in files) != row.content_bytes:
        yield IntegrityFault(
            row.actor, f"revision {row.number}: the index contradicts itself on its size"
        )
    for file in files:
        wrong = _describe_file_fault(
            folder / file.name, file.sha256, key, file_context(row.folder, row.number, file.name)
        )
        if wrong:
            yield IntegrityFault(
                row.actor, f"revision {row.number}: the file {file.name!r} {wrong}"
            )
    if folder.is_dir():
        for extra in sorted({path.name for path in folder.iterdir()} - {f.name for f in files}):
            yield IntegrityFault(
                row.actor, f"revision {row.number}: {extra[:60]!a} is not in the index"
            )


def _describe_file_fault(path: Path, sha256: str, key: bytes | None, context: bytes) -> str:
    """Describe the fault of a stored file, or return ""."""
    if not path.exists():
        return "is missing"
    try:
        # The hash finds any change of the file; the header finds a wrong key or place.
        if sha256_file(path) != sha256:
            return "has not the SHA-256 that the index names"
        if key is not None:
            with open(path, "rb") as file:
                cipher.check_sealed_header(key, context, file)
    except OSError as error:
        return f"cannot be read ({error.strerror})"
    except RegistryError as error:
        return f"does not open ({error})"
    return ""
