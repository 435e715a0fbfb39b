"""Renaming of actors: the id changes, everything else stays.

Files, key and pseudonym hang on the actor's folder, whose name is random, so only the index knows
an id. It keeps a keyed hash of the old id, so that a later deletion bars both ids from a return by
import.
"""

from __future__ import annotations

from collections.abc import Sequence

from dubfew.errors import RegistryError, TombstoneError
from dubfew.registry.audit_events import record_actor_event
from dubfew.registry.backend import RegistryBackend
from dubfew.registry.index import RegistryIdentity, RevisionRow
from dubfew.registry.names import check_distinct
from dubfew.registry.tombstones import compute_actor_mark


def rename_actor(
    backend: RegistryBackend,
    identity: RegistryIdentity,
    rows: Sequence[RevisionRow],
    new_actor: str,
    *,
    allow_deleted: bool,
) -> None:
    """Give an actor another id. Call with the registry's lock held.

    Args:
        backend: the registry.
        identity: the registry's identity, whose salt goes into the marks.
        rows: all revisions of the actor.
        new_actor: the new id, normalized.
        allow_deleted: also take the id of an actor who was deleted here.

    Raises:
        TombstoneError: An actor of the new id was deleted here.
        RegistryError: The new id is taken, or confusable with another actor's.
        AuditError: The audit log cannot be written.
    """
    actor, folder = rows[0].actor, rows[0].folder
    others = [name for name in backend.index.actors_by_folder().values() if name != actor]
    if new_actor == actor or new_actor in others:
        raise RegistryError(f"{new_actor!r} exists already: choose another id")
    # Another spelling of the actor's own id is no confusion.
    check_distinct(new_actor, others)
    mark = compute_actor_mark(new_actor, identity.salt)
    was_deleted = mark in backend.index.tombstones()
    if was_deleted and not allow_deleted:
        raise TombstoneError(
            f"an actor {new_actor!r} was deleted here: choose another id, or say --allow-deleted"
        )
    overrides = ["allow-deleted"] if was_deleted else []
    record_actor_event(backend, "rename", folder, overrides=overrides)
    former = compute_actor_mark(actor, identity.salt)
    backend.index.rename(folder, new_actor, former, mark if was_deleted else None)
    # An id may be a person's name: no page of the index keeps the old one.
    backend.index.purge_deleted_rows("the actor is renamed")
