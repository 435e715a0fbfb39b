"""Deletion of actors in two phases, so that a crash at any point leaves no half-deleted actor.

The first phase writes a note, the receipt to be; the second destroys key, rows and files, and can
be repeated from any point. The next command finishes a deletion that was interrupted.
"""

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
    """Write the note that an actor is to be deleted, and return the receipt that it holds.

    Args:
        backend: the registry.
        identity: the registry's identity, whose salt goes into the marks.
        rows: all revisions of the actor.
    """
    # The receipt is complete before anything is destroyed: later the facts are gone.
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
        former_marks=tuple(backend.index.former_marks(rows[0].folder)),
    )
    # From here on the deletion is certain, whatever happens to this process.
    backend.storage.begin_deletion(receipt.folder, receipt.to_bytes())
    return receipt


def finish_erasures(backend: RegistryBackend) -> list[str]:
    """Finish all deletions that have begun. Call with the registry's lock held.

    The audit log comes first, while there is a key to derive the pseudonym from. Then the key is
    destroyed: from here on nothing can be read, whatever happens. Rows go before files, so that
    nobody finds the actor half deleted. The note goes last.

    Returns:
        The notes of the finished deletions: paths below the home folder.
    """
    index, storage = backend.index, backend.storage
    # Every note on disk counts, also those of processes that were killed.
    begun = storage.pending_deletions()
    receipts = {
        folder: ErasureReceipt.from_bytes(note, f"the note deletions/{folder}")
        for folder, note in begun.items()
        if note  # notes from before encryption are empty
    }
    for folder in begun:
        if folder in receipts:
            record_deletion(backend, folder, receipts[folder])
        backend.keys.destroy_key(folder)
        if folder in receipts:
            index.add_tombstones(receipts[folder].tombstone_marks, receipts[folder].erased)
        index.delete_actor_rows(folder)
        storage.remove_actor(folder)
    # Once for all of them: it rewrites the whole index.
    if begun:
        index.purge_deleted_rows()
    for folder in begun:
        if folder in receipts:
            receipts[folder].write(storage.receipts_folder / receipts[folder].file_name)
        storage.end_deletion(folder)
    return [f"deletions/{folder}" for folder in begun]


def recover_after_crash(backend: RegistryBackend, *, full_sweep: bool) -> list[str]:
    """Finish begun deletions and remove leftovers of killed processes. Call with the lock held.

    Args:
        backend: the registry.
        full_sweep: search for leftovers even if the last writer ended properly. The search takes
            longer with every actor.

    Returns:
        The finished deletions and the removed leftovers: paths below the home folder.
    """
    # Deletions first: what they leave is swept below.
    finished = finish_erasures(backend)
    if backend.storage.is_swept() and not full_sweep:
        return finished
    return finished + backend.storage.sweep(
        backend.index.revision_numbers(), backend.keys.destroy_key
    )
