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
from dubfew.registry.backend import RegistryBackend
from dubfew.registry.pseudonyms import derive_pseudonym
from dubfew.registry.receipt import ErasureReceipt


def open_audit_log(backend: RegistryBackend) -> AuditLog:
    """The log of a registry."""
    return AuditLog(backend.storage.home, backend.keys.folder)


def record_actor_event(backend: RegistryBackend, event: str, folder: str, **fields: Any) -> None:
    """Add an event about the actor whose folder this is.

    Raises:
        AuditError: it cannot be added: whatever it tells must not be done then.
        RegistryError: the actor's key is not there.
    """
    who = derive_pseudonym(backend.keys.load_key(folder))
    open_audit_log(backend).append(event, {"actor": who, **fields})


def record_deletion(backend: RegistryBackend, folder: str, receipt: ErasureReceipt) -> None:
    """Add that an actor is deleted, unless an interrupted attempt has done so. Call while the
    actor has a key.

    The right to be forgotten does not wait for a log: where that cannot be written, there is only
    a warning, and the receipt.
    """
    digest = hashlib.sha256(receipt.to_bytes()).hexdigest()
    try:
        who: str | None = derive_pseudonym(backend.keys.load_key(folder))
    except RegistryError:  # nor for a lost key or passphrase
        who = None
    try:
        log = open_audit_log(backend)
        if not log.has_event("delete", "receipt_sha256", digest):
            log.append("delete", {"actor": who, "receipt_sha256": digest})
    except (AuditError, OSError) as error:
        warnings.warn(f"the deletion is not in the audit log: {error}", stacklevel=2)
