"""How events enter the audit log: about pseudonyms, and on disk before what they tell is done.

So nothing is done that the log does not have. What it has may not have been done, when a crash or
an error came right after.
"""

from __future__ import annotations

import hashlib
import warnings
from typing import Any

from dubfew.errors import AuditError, RegistryError
from dubfew.registry.audit import AuditLog
from dubfew.registry.pseudonyms import pseudonym
from dubfew.registry.receipt import Receipt
from dubfew.registry.revision import Shelves


def audit_log(shelves: Shelves) -> AuditLog:
    """The log of a registry."""
    return AuditLog(shelves.storage.home, shelves.keys.folder)


def record(shelves: Shelves, event: str, folder: str, **fields: Any) -> None:
    """Add an event about the actor whose folder this is.

    Raises:
        AuditError: it cannot be added: whatever it tells must not be done then.
        RegistryError: the actor's key is not there.
    """
    who = pseudonym(shelves.keys.load(folder))
    audit_log(shelves).append(event, {"actor": who, **fields})


def record_deletion(shelves: Shelves, folder: str, receipt: Receipt) -> None:
    """Add that an actor is deleted, unless an interrupted attempt has done so. Call while the
    actor has a key.

    The right to be forgotten does not wait for a log: where that cannot be written, there is only
    a warning, and the receipt.
    """
    digest = hashlib.sha256(receipt.to_bytes()).hexdigest()
    try:
        who: str | None = pseudonym(shelves.keys.load(folder))
    except RegistryError:  # nor for a lost key or passphrase
        who = None
    try:
        log = audit_log(shelves)
        if not log.has("delete", "receipt_sha256", digest):
            log.append("delete", {"actor": who, "receipt_sha256": digest})
    except (AuditError, OSError) as error:
        warnings.warn(f"the deletion is not in the audit log: {error}", stacklevel=2)
