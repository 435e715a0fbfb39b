"""What watches over the use of actors: their consent, suspension, the audit log."""

from __future__ import annotations

from dataclasses import dataclass

from dubfew.errors import ActorNotFoundError, RegistryError, SuspendedError
from dubfew.registry import audit_events, cipher
from dubfew.registry.audit import AuditLog
from dubfew.registry.consent import ConsentRecord, today_utc
from dubfew.registry.names import normalize_actor_id
from dubfew.registry.policy import (
    RenderPurpose,
    check_learning_allowed,
    check_render_allowed,
    read_policy,
)
from dubfew.registry.pseudonyms import actors_by_pseudonym
from dubfew.registry.revision import Revision
from dubfew.registry.store import ActorStore
from dubfew.utils.timestamps import utc_timestamp

MAX_REASON_LENGTH = 200


@dataclass(frozen=True)
class ActorSuspension:
    """``since`` is ISO 8601 in UTC; ``reason`` may be empty."""

    since: str
    reason: str


class GovernedStore(ActorStore):
    """The actors under one home folder, and what may be done with them. See `ActorStore`."""

    def suspend(self, actor: str, reason: str = "") -> ActorSuspension:
        """Let nobody render or export an actor until :meth:`resume`, whatever revisions come.

        Args:
            reason: one line, encrypted with the actor's key.

        Raises:
            ActorNotFoundError: no such actor.
            RegistryError: the reason is long or no line, or the actor's key is missing.
            AuditError: the audit log cannot be written.
        """
        if len(reason) > MAX_REASON_LENGTH or not (reason.isprintable() or not reason):
            raise RegistryError(
                f"the reason is {ascii(reason)[:40]}: use one line of up to {MAX_REASON_LENGTH} "
                "characters"
            )
        with self._write_actor_session(normalize_actor_id(actor)) as (_, backend, rows):
            folder = rows[0].folder
            suspension = ActorSuspension(utc_timestamp(), reason)
            key = backend.keys.load_key(folder)
            sealed = cipher.seal_bytes(key, _suspension_context(folder), reason.encode())
            audit_events.record_actor_event(backend, "suspend", folder)
            self._index.add_suspension(folder, suspension.since, sealed)
        return suspension

    def resume(self, actor: str) -> None:
        """End a suspension.

        Raises:
            ActorNotFoundError: no such actor.
            RegistryError: the actor is not suspended.
            AuditError: the audit log cannot be written.
        """
        with self._write_actor_session(normalize_actor_id(actor)) as (_, backend, rows):
            folder = rows[0].folder
            if self._index.find_suspension(folder) is None:
                raise RegistryError(f"{actor!r} is not suspended: there is nothing to resume")
            audit_events.record_actor_event(backend, "resume", folder)
            self._index.remove_suspension(folder)

    def suspension(self, revision: Revision) -> ActorSuspension | None:
        """The suspension of a revision's actor, or None.

        Raises:
            RegistryError: the actor's key is missing.
        """
        row, backend = revision._row, revision._backend
        found = self._index.find_suspension(row.folder)
        if found is None:
            return None
        since, sealed = found
        reason = cipher.unseal_bytes(
            backend.keys.load_key(row.folder), _suspension_context(row.folder), sealed
        )
        return ActorSuspension(since, reason.decode())

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

    def check_learning(self, actor: str, consent: ConsentRecord | None) -> str:
        """See that an actor may be learned today, under this home's policy. A note, or "".

        Raises:
            ConsentError: no.
        """
        return check_learning_allowed(actor, consent, read_policy(self.home), today_utc())

    def check_render(self, revision: Revision, purpose: RenderPurpose) -> str:
        """See that an actor may be rendered today for a purpose, under this home's policy.

        Returns:
            What the user should know, one line, or "".

        Raises:
            SuspendedError: the actor is suspended.
            ConsentError: the consent does not cover it, or is damaged.
        """
        self.check_suspension(revision)
        policy = read_policy(self.home)
        return check_render_allowed(revision.actor, revision.consent, purpose, policy, today_utc())

    def consent(self, actor: str) -> ConsentRecord | None:
        """The record of an actor's newest revision; None when it has none, or there is no actor.

        Raises:
            ConsentError: what is kept is no record.
        """
        try:
            return self.open(actor).consent
        except ActorNotFoundError:
            return None

    def attach_consent(self, actor: str, consent: ConsentRecord) -> Revision:
        """Store a new revision that is the newest one under another consent.

        Raises:
            ActorNotFoundError: no such actor.
            ConsentError: the consent is of a minor.
            RegistryError: the revision cannot be read or stored.
        """
        consent.check_age(repr(actor))
        newest = self.open(actor)
        config = {**newest.config, "consent": consent.to_config_entry()}
        files = {name: newest.read(name) for name in newest.file_names()}
        return self._store_revision(actor, config, files, refuse_deleted=False, event="consent")

    def audit(self) -> AuditLog | None:
        """The audit log; None when nothing was ever stored here."""
        known = self._prepare_reading()
        return None if known is None else audit_events.open_audit_log(known[1])

    def pseudonyms(self) -> dict[str, str]:
        """The ids of those who are in the audit log and not deleted, by pseudonym.

        Raises:
            RegistryError: the keys cannot be unlocked, or one is missing.
        """
        known = self._prepare_reading()
        return {} if known is None else actors_by_pseudonym(self._index, known[1].keys)


def _suspension_context(folder: str) -> bytes:
    return f"{folder}\0suspension".encode()
