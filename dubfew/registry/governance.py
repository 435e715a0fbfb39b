"""What watches over the use of actors: their consent, suspension, the audit log."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from dubfew.errors import ActorNotFoundError, RegistryError, SuspendedError
from dubfew.registry import erasure
from dubfew.registry.names import actor_id
from dubfew.registry.revision import Revision
from dubfew.registry.store import ActorStore

if TYPE_CHECKING:  # late, for the speed of listing
    from dubfew.registry.audit import AuditLog
    from dubfew.registry.consent import Consent
    from dubfew.registry.policy import Purpose

MAX_REASON_LENGTH = 200


@dataclass(frozen=True)
class Suspension:
    """``since`` is ISO 8601 in UTC; ``reason`` may be empty."""

    since: str
    reason: str


class OverseenStore(ActorStore):
    """The actors under one home folder, and what may be done with them. See `ActorStore`."""

    def suspend(self, actor: str, reason: str = "") -> Suspension:
        """Let nobody render or export an actor until :meth:`resume`, whatever revisions come.

        Args:
            reason: one line, encrypted with the actor's key.

        Raises:
            ActorNotFoundError: no such actor.
            RegistryError: the reason is long or no line, or the actor's key is missing.
            AuditError: the audit log cannot be written.
        """
        from dubfew.registry import audit_events, cipher

        if len(reason) > MAX_REASON_LENGTH or not (reason.isprintable() or not reason):
            raise RegistryError(
                f"the reason is {ascii(reason)[:40]}: use one line of up to {MAX_REASON_LENGTH} "
                "characters"
            )
        with self._writing_actor(actor_id(actor)) as (_, shelves, rows):
            folder = rows[0].folder
            suspension = Suspension(erasure.now(), reason)
            key = shelves.keys.load(folder)
            sealed = cipher.seal_bytes(key, _place(folder), reason.encode())
            audit_events.record(shelves, "suspend", folder)
            self._index.suspend(folder, suspension.since, sealed)
        return suspension

    def resume(self, actor: str) -> None:
        """End a suspension.

        Raises:
            ActorNotFoundError: no such actor.
            RegistryError: the actor is not suspended.
            AuditError: the audit log cannot be written.
        """
        from dubfew.registry import audit_events

        with self._writing_actor(actor_id(actor)) as (_, shelves, rows):
            folder = rows[0].folder
            if self._index.suspension(folder) is None:
                raise RegistryError(f"{actor!r} is not suspended: there is nothing to resume")
            audit_events.record(shelves, "resume", folder)
            self._index.resume(folder)

    def suspension(self, revision: Revision) -> Suspension | None:
        """The suspension of a revision's actor, or None.

        Raises:
            RegistryError: the actor's key is missing.
        """
        from dubfew.registry import cipher

        row, shelves = revision._row, revision._shelves
        found = self._index.suspension(row.folder)
        if found is None:
            return None
        since, sealed = found
        reason = cipher.unseal_bytes(shelves.keys.load(row.folder), _place(row.folder), sealed)
        return Suspension(since, reason.decode())

    def check_suspension(self, revision: Revision) -> None:
        """See that a revision's actor is not suspended.

        Raises:
            SuspendedError: it is.
        """
        suspension = self.suspension(revision)
        if suspension is not None:
            why = f" ({suspension.reason})" if suspension.reason else ""
            raise SuspendedError(
                f"{revision.actor!r} is suspended since {suspension.since}{why}: "
                "'dubfew actors resume' ends that, once they agree"
            )

    def check_learning(self, actor: str, consent: Consent | None) -> str:
        """See that an actor may be learned today, under this home's policy. A note, or "".

        Raises:
            ConsentError: no.
        """
        from dubfew.registry.consent import today
        from dubfew.registry.policy import permit_learning, read_policy

        return permit_learning(actor, consent, read_policy(self.home), today())

    def check_render(self, revision: Revision, purpose: Purpose) -> str:
        """See that an actor may be rendered today for a purpose, under this home's policy.

        Returns:
            What the user should know, one line, or "".

        Raises:
            SuspendedError: the actor is suspended.
            ConsentError: the consent does not cover it, or is damaged.
        """
        from dubfew.registry.consent import today
        from dubfew.registry.policy import permit_render, read_policy

        self.check_suspension(revision)
        policy = read_policy(self.home)
        return permit_render(revision.actor, revision.consent, purpose, policy, today())

    def consent(self, actor: str) -> Consent | None:
        """The record of an actor's newest revision; None when it has none, or there is no actor.

        Raises:
            ConsentError: what is kept is no record.
        """
        try:
            return self.open(actor).consent
        except ActorNotFoundError:
            return None

    def attach_consent(self, actor: str, consent: Consent) -> Revision:
        """Store a new revision that is the newest one under another consent.

        Raises:
            ActorNotFoundError: no such actor.
            ConsentError: the consent is of a minor.
            RegistryError: the revision cannot be read or stored.
        """
        consent.check_age(repr(actor))
        newest = self.open(actor)
        config = {**newest.config, "consent": consent.stored()}
        files = {name: newest.read(name) for name in newest.names()}
        return self._store(actor, config, files, restoring=False, event="consent")

    def audit(self) -> AuditLog | None:
        """The audit log; None when nothing was ever stored here."""
        from dubfew.registry.audit_events import audit_log

        known = self._ready()
        return None if known is None else audit_log(known[1])

    def pseudonyms(self) -> dict[str, str]:
        """The ids of those who are in the audit log and not deleted, by pseudonym.

        Raises:
            RegistryError: the keys cannot be unlocked, or one is missing.
        """
        from dubfew.registry.pseudonyms import pseudonyms

        known = self._ready()
        return {} if known is None else pseudonyms(self._index, known[1].keys)


def _place(folder: str) -> bytes:
    return f"{folder}\0suspension".encode()
