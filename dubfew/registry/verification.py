"""Is everything there that the index promises, and nothing else?"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from dubfew.errors import RegistryError
from dubfew.registry.index import RevisionRow
from dubfew.registry.revision import Shelves
from dubfew.registry.storage import place
from dubfew.utils.files import sha256_file


@dataclass(frozen=True)
class Fault:
    """One thing that is not as it should be.

    Attributes:
        actor: whose; empty when nobody knows.
        found: what it is, one line.
    """

    actor: str
    found: str


@dataclass(frozen=True)
class Verification:
    """What was looked at and what was found.

    Attributes:
        recovered: leftovers of killed processes that were cleared away.
        faults: what only a person can put right.
    """

    actors: int
    revisions: int
    files: int
    bytes: int
    recovered: tuple[str, ...]
    faults: tuple[Fault, ...]

    @property
    def ok(self) -> bool:
        """Whether there is no fault."""
        return not self.faults


def examine(shelves: Shelves) -> Iterator[Fault]:
    """Everything that is wrong. Without the registry's lock, what others are just doing may seem
    wrong as well.

    The keys are opened, so a passphrase may be needed; contents are hashed, not decrypted.
    """
    actors = shelves.index.actors()
    rows = shelves.index.revisions()
    with_revisions = {row.folder for row in rows}
    keys: dict[str, bytes] = {}
    for folder, actor in sorted(actors.items()):
        if folder not in with_revisions:
            yield Fault(actor, "the index has no revision of the actor")
        try:
            keys[folder] = shelves.keys.load(folder)
        except RegistryError as error:
            yield Fault(actor, str(error))
    for row in rows:
        yield from _revision(row, shelves, keys.get(row.folder))
    for folder in sorted(shelves.storage.actor_folders() - set(actors)):
        yield Fault("", f"the folder actors/{folder} belongs to nobody in the index")
    for folder in sorted(shelves.keys.actor_folders() - set(actors)):
        yield Fault("", f"the key {folder} belongs to nobody in the index")
    numbers = shelves.index.numbers()
    for folder, actor in sorted(actors.items()):
        known = {str(number) for number in numbers.get(folder, ())}
        for entry in sorted(shelves.storage.entries(folder) - known):
            yield Fault(actor, f"the folder actors/{folder}/{entry} is no revision in the index")


def _revision(row: RevisionRow, shelves: Shelves, key: bytes | None) -> Iterator[Fault]:
    folder = shelves.storage.revision_folder(row.folder, row.number)
    files = shelves.index.files(row.folder, row.number)
    if sum(file.bytes for file in files) != row.bytes:
        yield Fault(row.actor, f"revision {row.number}: the index contradicts itself on its size")
    for file in files:
        wrong = _file(
            folder / file.name, file.sha256, key, place(row.folder, row.number, file.name)
        )
        if wrong:
            yield Fault(row.actor, f"revision {row.number}: the file {file.name!r} {wrong}")
    if folder.is_dir():
        for extra in sorted({path.name for path in folder.iterdir()} - {f.name for f in files}):
            yield Fault(row.actor, f"revision {row.number}: {extra[:60]!a} is not in the index")


def _file(path: Path, sha256: str, key: bytes | None, context: bytes) -> str:
    """What is wrong with a stored file; empty when nothing is."""
    from dubfew.registry import cipher  # late, for the speed of listing

    if not path.exists():
        return "is missing"
    try:
        if sha256_file(path) != sha256:
            return "has not the SHA-256 that the index names"
        if key is not None:
            with open(path, "rb") as file:
                cipher.check_header(key, context, file)
    except OSError as error:
        return f"cannot be read ({error.strerror})"
    except RegistryError as error:
        return f"does not open ({error})"
    return ""
