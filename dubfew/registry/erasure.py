"""Deleting an actor so that a crash at any point leaves no half of it."""

from __future__ import annotations

from collections.abc import Sequence

from dubfew.registry.audit_events import record_deletion
from dubfew.registry.backend import RegistryBackend
from dubfew.registry.index import RegistryIdentity, RevisionRow
from dubfew.registry.receipt import ErasedRevision, ErasureReceipt
from dubfew.registry.tombstones import compute_actor_mark
from dubfew.utils.timestamps import utc_timestamp


def begin_erasure(
    backend: RegistryBackend, identity: RegistryIdentity, rows: Sequence[RevisionRow]
) -> ErasureReceipt:
    """Note on disk that an actor is to be deleted, with the receipt that there will be.

    Args:
        rows: all of the actor's revisions.
    """
    receipt = ErasureReceipt(
        erased=utc_timestamp(),
        folder=rows[0].folder,
        actor_mark=compute_actor_mark(rows[0].actor, identity.salt),
        actor_salt=identity.salt,
        revisions=tuple(
            ErasedRevision(
                number=row.number,
                created=row.created,
                method=row.method,
                content_mark=row.mark,
                files=tuple(backend.index.files(row.folder, row.number)),
            )
            for row in rows
        ),
    )
    backend.storage.begin_deletion(receipt.folder, receipt.to_bytes())
    return receipt


def finish_erasures(backend: RegistryBackend) -> list[str]:
    """Finish all deletions that have begun; say which. Call with the registry's lock held.

    First a line in the audit log, as long as there is a key to name the actor by. Then keys: from
    then on nothing can be read, whatever comes. Then rows, so that nobody finds the actor half
    deleted, then files. The note goes last.
    """
    index, storage = backend.index, backend.storage
    begun = storage.pending_deletions()
    receipts = {
        folder: ErasureReceipt.from_bytes(note, f"the note deletions/{folder}")
        for folder, note in begun.items()
        if note  # before there was encryption, notes were empty
    }
    for folder in begun:
        if folder in receipts:
            record_deletion(backend, folder, receipts[folder])
        backend.keys.destroy_key(folder)
        if folder in receipts:
            index.add_tombstones(receipts[folder].tombstone_marks, receipts[folder].erased)
        index.delete_actor_rows(folder)
        storage.remove_actor(folder)
    if begun:
        index.purge_deleted_rows()
    for folder in begun:
        if folder in receipts:
            receipts[folder].write(storage.receipts_folder / receipts[folder].file_name)
        storage.end_deletion(folder)
    return [f"deletions/{folder}" for folder in begun]


def recover_after_crash(backend: RegistryBackend, *, full_sweep: bool) -> list[str]:
    """Finish deletions and clear away what killed processes left; say what that was. Call with
    the registry's lock held.

    Args:
        full_sweep: look for leftovers also where the last writer said that there are none.
    """
    finished = finish_erasures(backend)
    if backend.storage.is_swept() and not full_sweep:
        return finished
    return finished + backend.storage.sweep(
        backend.index.revision_numbers(), backend.keys.destroy_key
    )
