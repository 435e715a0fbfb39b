"""The receipt of an erasure: what was destroyed and when, and nothing of the person.

A JSON file. The id is not in it, only its mark (tombstones.py): who knows the id can compute the
mark again from ``actor_salt`` and so see that the receipt is theirs.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from dubfew.errors import RegistryError
from dubfew.files import write_atomic
from dubfew.registry import tombstones
from dubfew.registry.index import FileRow

FORMAT = "dubfew-erasure-receipt"
FORMAT_VERSION = 1


@dataclass(frozen=True)
class ErasedRevision:
    """One revision that was destroyed. ``files`` has SHA-256 of the encrypted files, the config
    among them; ``content_mark`` recognises the content, see tombstones.py."""

    number: int
    created: str
    method: str
    content_mark: str
    files: tuple[FileRow, ...]


@dataclass(frozen=True)
class Receipt:
    """What was destroyed. ``erased`` is ISO 8601 in UTC; ``folder`` the random name that stood for
    the actor."""

    erased: str
    folder: str
    actor_mark: str
    actor_salt: str
    revisions: tuple[ErasedRevision, ...]

    @property
    def marks(self) -> list[str]:
        """The tombstones: of the id, and of every revision's content."""
        return [self.actor_mark, *(each.content_mark for each in self.revisions)]

    @property
    def name(self) -> str:
        """What its file is called."""
        return f"{self.erased.replace(':', '')}-{self.folder[:8]}.json"

    def to_bytes(self) -> bytes:
        """As a JSON file."""
        head = {
            "format": FORMAT,
            "format_version": FORMAT_VERSION,
            "statement": (
                "The key was overwritten and removed, then the files, then every row of the index."
            ),
            "actor_mark_is": (
                "scrypt of the id's look-alike form with actor_salt as it is written, "
                f"n = 2^{tombstones.SCRYPT_LOG2_N}, r = 8, p = 1, 32 bytes"
            ),
        }
        return json.dumps(head | asdict(self), indent=1).encode()

    @classmethod
    def from_bytes(cls, data: bytes, source: str) -> Receipt:
        """A receipt again.

        Raises:
            RegistryError: it is not one.
        """
        try:
            found: dict[str, Any] = json.loads(data)
            version = found["format_version"]
            revisions = tuple(
                ErasedRevision(**each | {"files": tuple(FileRow(**file) for file in each["files"])})
                for each in found["revisions"]
            )
            names = ("erased", "folder", "actor_mark", "actor_salt")
            receipt = cls(**{name: found[name] for name in names}, revisions=revisions)
        except (ValueError, KeyError, TypeError) as error:
            raise RegistryError(f"{source} is not a receipt of a deletion: remove it") from error
        if version > FORMAT_VERSION:
            raise RegistryError(f"{source} has format {version}, newer than 1: update dubfew")
        return receipt

    def write(self, file: Path) -> None:
        """Put it into a file."""
        write_atomic(file, self.to_bytes())
