"""Receipts of deletions: what was destroyed and when, without personal data.

A receipt is a JSON file. It holds the mark of the id (tombstones.py), not the id: whoever knows the
id can compute the mark from ``actor_salt`` and so recognize the receipt.
"""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from dubfew.errors import RegistryError
from dubfew.registry import tombstones
from dubfew.registry.index import FileRow
from dubfew.utils.files import write_atomic
from dubfew.utils.format_version import check_format_version

# Value of "format" in a receipt.
RECEIPT_FORMAT = "dubfew-erasure-receipt"
# Newest version of receipts that this dubfew reads and writes.
RECEIPT_FORMAT_VERSION = 1
# Form of a revision's mark.
_CONTENT_MARK_PATTERN = (
    "[0-9a-f]{64}|"  # a revision that was stored before there were marks has none
)
# Form of the receipt's other texts.
_RECEIPT_FIELD_PATTERNS = {
    "erased": "[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z",
    "folder": "[0-9a-f]{32}",
    "actor_mark": "[0-9a-f]{64}",
    "actor_salt": "[0-9a-f]{32}",
}


@dataclass(frozen=True)
class ErasedRevision:
    """A destroyed revision.

    Attributes:
        number: number of the revision.
        created: when it was stored, ISO 8601 in UTC.
        method: adaptation method; empty if unknown.
        content_mark: keyed hash of the content, see tombstones.py.
        files: the encrypted files, the config among them, with their SHA-256.
    """

    number: int
    created: str
    method: str
    content_mark: str
    files: tuple[FileRow, ...]


@dataclass(frozen=True)
class ErasureReceipt:
    """Receipt of the deletion of an actor.

    Attributes:
        erased: when the deletion began, ISO 8601 in UTC.
        folder: the random name of the actor's folder.
        actor_mark: keyed hash of the id, see tombstones.py.
        actor_salt: salt of that hash.
        revisions: all revisions of the actor.
        former_marks: keyed hashes of the ids that the actor had before.
    """

    erased: str
    folder: str
    actor_mark: str
    actor_salt: str
    revisions: tuple[ErasedRevision, ...]
    former_marks: tuple[str, ...] = ()

    @property
    def tombstone_marks(self) -> list[str]:
        """Tombstones of the id, of former ids, and of the content of every revision."""
        contents = (each.content_mark for each in self.revisions)
        return [self.actor_mark, *self.former_marks, *contents]

    @property
    def file_name(self) -> str:
        """Name of the receipt's file in the folder of receipts."""
        return f"{self.erased.replace(':', '')}-{self.folder[:8]}.json"

    def to_bytes(self) -> bytes:
        """Return the receipt as a JSON file."""
        head = {
            "format": RECEIPT_FORMAT,
            "format_version": RECEIPT_FORMAT_VERSION,
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
    def from_bytes(cls, data: bytes, source: str) -> ErasureReceipt:
        """Parse a receipt and check all that is used of it.

        Args:
            data: the JSON file.
            source: name of the receipt in error messages.

        Raises:
            RegistryError: The data is not a receipt, or a newer dubfew wrote it.
        """
        # Notes are read from disk after a crash, so they are checked like foreign input.
        wrong = RegistryError(f"{source} is not a receipt of a deletion: remove it")
        try:
            found: dict[str, Any] = json.loads(data)
            version = found["format_version"]
            revisions = tuple(
                ErasedRevision(**each | {"files": tuple(FileRow(**file) for file in each["files"])})
                for each in found["revisions"]
            )
            receipt = cls(
                **{name: found[name] for name in _RECEIPT_FIELD_PATTERNS},
                revisions=revisions,
                # Receipts from before actors could be renamed have none.
                former_marks=tuple(found.get("former_marks", ())),
            )
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise wrong from error
        check_format_version(version, RECEIPT_FORMAT_VERSION, source, RegistryError)
        # The file's name is made from these texts, and the marks go into the index.
        forms = [(getattr(receipt, name), form) for name, form in _RECEIPT_FIELD_PATTERNS.items()]
        forms += [(each.content_mark, _CONTENT_MARK_PATTERN) for each in revisions]
        forms += [(m, _RECEIPT_FIELD_PATTERNS["actor_mark"]) for m in receipt.former_marks]
        if not all(isinstance(text, str) and re.fullmatch(form, text) for text, form in forms):
            raise wrong
        return receipt

    def write(self, file: Path) -> None:
        """Write the receipt to a file.

        Raises:
            OSError: The file cannot be written.
        """
        write_atomic(file, self.to_bytes())
