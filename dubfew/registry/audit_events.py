"""Write-ahead audit events: each is on disk, under a pseudonym, before the action it describes.

So every action has an entry. The reverse does not hold: after a crash or an error an entry may
describe an action that was not carried out.
"""

from __future__ import annotations

import hashlib
import warnings
from typing import Any

from dubfew.errors import AuditError, RegistryError
from dubfew.registry.audit import AuditLog
from dubfew.registry.backend import RegistryBackend
from dubfew.registry.pseudonyms import derive_pseudonym
from dubfew.registry.receipt import ErasureReceipt


def open_audit_log(backend: RegistryBackend) -> AuditLog:
    """Return the audit log of a registry."""
    return AuditLog(backend.storage.home, backend.keys.folder)


def record_actor_event(backend: RegistryBackend, event: str, folder: str, **fields: Any) -> None:
    """Append an event about an actor to the audit log.

    Args:
        backend: the registry.
        event: one of `audit.AUDIT_EVENTS`.
        folder: name of the actor's folder.
        fields: facts about the event, plain JSON without ids, paths or free text.

    Raises:
        AuditError: The log cannot be written; the caller must not carry out the action.
        RegistryError: The actor's key is missing, so there is no pseudonym.
    """
    pseudonym = derive_pseudonym(backend.keys.load_key(folder))
    open_audit_log(backend).append(event, {"actor": pseudonym, **fields})


def record_deletion(backend: RegistryBackend, folder: str, receipt: ErasureReceipt) -> None:
    """Append the deletion of an actor, unless an interrupted attempt has done so.

    Call this while the actor still has a key. A deletion does not depend on the log: where the log
    cannot be written, there is a warning, and the receipt remains.

    Args:
        backend: the registry.
        folder: name of the actor's folder.
        receipt: receipt of the deletion; the entry holds its SHA-256.
    """
    digest = hashlib.sha256(receipt.to_bytes()).hexdigest()
    try:
        pseudonym: str | None = derive_pseudonym(backend.keys.load_key(folder))
    except RegistryError:  # a lost key or passphrase must not stop a deletion either
        pseudonym = None
    try:
        log = open_audit_log(backend)
        if not log.has_event("delete", "receipt_sha256", digest):
            log.append("delete", {"actor": pseudonym, "receipt_sha256": digest})
    except (AuditError, OSError) as error:
        warnings.warn(f"the deletion is not in the audit log: {error}", stacklevel=2)
