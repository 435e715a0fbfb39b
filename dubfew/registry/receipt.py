"""The receipt of an erasure: what was destroyed and when, and nothing of the person.

A JSON file. The id is not in it, only its mark (tombstones.py): who knows the id can compute the
mark again from ``actor_salt`` and so see that the receipt is theirs.
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

RECEIPT_FORMAT = "dubfew-erasure-receipt"
RECEIPT_FORMAT_VERSION = 1
_CONTENT_MARK_PATTERN = (
    "[0-9a-f]{64}|"  # a revision that was stored before there were marks has none
)
_RECEIPT_FIELD_PATTERNS = {
    "erased": "[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z",
    "folder": "[0-9a-f]{32}",
    "actor_mark": "[0-9a-f]{64}",
    "actor_salt": "[0-9a-f]{32}",
}


@dataclass(frozen=True)
class ErasedRevision:
    """One revision that was destroyed. ``files`` has SHA-256 of the encrypted files, the config
    among them; ``compute_content_mark`` recognises the content, see tombstones.py."""

    number: int
    created: str
    method: str
    content_mark: str
    files: tuple[FileRow, ...]


@dataclass(frozen=True)
class ErasureReceipt:
    """What was destroyed. ``erased`` is ISO 8601 in UTC; ``folder`` the random name that stood for
    the actor."""

    erased: str
    folder: str
    actor_mark: str
    actor_salt: str
    revisions: tuple[ErasedRevision, ...]

    @property
    def tombstone_marks(self) -> list[str]:
        """The tombstones: of the id, and of every revision's content."""
        return [self.actor_mark, *(each.content_mark for each in self.revisions)]

    @property
    def file_name(self) -> str:
        """What its file is called."""
        return f"{self.erased.replace(':', '')}-{self.folder[:8]}.json"

    def to_bytes(self) -> bytes:
        """As a JSON file."""
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
        """A receipt again.

        Raises:
            RegistryError: it is not one.
        """
        wrong = RegistryError(f"{source} is not a receipt of a deletion: remove it")
        try:
            found: dict[str, Any] = json.loads(data)
            version = found["format_version"]
            revisions = tuple(
                ErasedRevision(**each | {"files": tuple(FileRow(**file) for file in each["files"])})
                for each in found["revisions"]
            )
            receipt = cls(
                **{name: found[name] for name in _RECEIPT_FIELD_PATTERNS}, revisions=revisions
            )
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise wrong from error
        check_format_version(version, RECEIPT_FORMAT_VERSION, source, RegistryError)
        # Its name becomes a path, and its marks go into the index.
        forms = [(getattr(receipt, name), form) for name, form in _RECEIPT_FIELD_PATTERNS.items()]
        forms += [(each.content_mark, _CONTENT_MARK_PATTERN) for each in revisions]
        if not all(isinstance(text, str) and re.fullmatch(form, text) for text, form in forms):
            raise wrong
        return receipt

    def write(self, file: Path) -> None:
        """Put it into a file."""
        write_atomic(file, self.to_bytes())
