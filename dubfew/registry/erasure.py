"""Deleting an actor so that a crash at any point leaves no half of it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timezone

from dubfew.registry.index import Identity, RevisionRow
from dubfew.registry.receipt import ErasedRevision, Receipt
from dubfew.registry.revision import Shelves
from dubfew.registry.tombstones import actor_mark


def now() -> str:
    """The time as ISO 8601 in UTC."""
    return datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def begin(shelves: Shelves, identity: Identity, rows: Sequence[RevisionRow]) -> Receipt:
    """Note on disk that an actor is to be deleted, with the receipt that there will be.

    Args:
        rows: all of the actor's revisions.
    """
    receipt = Receipt(
        erased=now(),
        folder=rows[0].folder,
        actor_mark=actor_mark(rows[0].actor, identity.salt),
        actor_salt=identity.salt,
        revisions=tuple(
            ErasedRevision(
                number=row.number,
                created=row.created,
                method=row.method,
                content_mark=row.mark,
                files=tuple(shelves.index.files(row.folder, row.number)),
            )
            for row in rows
        ),
    )
    shelves.storage.begin_deletion(receipt.folder, receipt.to_bytes())
    return receipt


def finish(shelves: Shelves) -> list[str]:
    """Finish all deletions that have begun; say which. Call with the registry's lock held.

    First a line in the audit log, as long as there is a key to name the actor by. Then keys: from
    then on nothing can be read, whatever comes. Then rows, so that nobody finds the actor half
    deleted, then files. The note goes last.
    """
    from dubfew.registry.audit_events import record_deletion  # late, for the speed of listing

    index, storage = shelves.index, shelves.storage
    begun = storage.begun_deletions()
    receipts = {
        folder: Receipt.from_bytes(note, f"the note deletions/{folder}")
        for folder, note in begun.items()
        if note  # before there was encryption, notes were empty
    }
    for folder in begun:
        if folder in receipts:
            record_deletion(shelves, folder, receipts[folder])
        shelves.keys.destroy(folder)
        if folder in receipts:
            index.bury(receipts[folder].marks, receipts[folder].erased)
        index.delete(folder)
        storage.remove(folder)
    if begun:
        index.scrub()
    for folder in begun:
        if folder in receipts:
            receipts[folder].write(storage.receipts / receipts[folder].name)
        storage.end_deletion(folder)
    return [f"deletions/{folder}" for folder in begun]


def recover(shelves: Shelves, *, everywhere: bool) -> list[str]:
    """Finish deletions and clear away what killed processes left; say what that was. Call with
    the registry's lock held.

    Args:
        everywhere: look for leftovers also where the last writer said that there are none.
    """
    finished = finish(shelves)
    if shelves.storage.is_swept() and not everywhere:
        return finished
    return finished + shelves.storage.sweep(shelves.index.numbers(), shelves.keys.destroy)
