"""Control over the use of actors: consent, policy, suspension and the audit log."""

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

# Longest reason for a suspension, characters: one line to show, not a file to store.
MAX_REASON_LENGTH = 200


@dataclass(frozen=True)
class ActorSuspension:
    """Suspension of an actor.

    Attributes:
        since: when it began, ISO 8601 in UTC.
        reason: one line, may be empty.
    """

    since: str
    reason: str


class GovernedStore(ActorStore):
    """Actors on disk and the rules for their use; the second layer of `Registry`.

    `ActorStore` says why the layers inherit.
    """

    def suspend(self, actor: str, reason: str = "") -> ActorSuspension:
        """Suspend an actor: no present or future revision is rendered or exported.

        Args:
            actor: the actor's id.
            reason: one line of up to 200 characters, encrypted with the actor's key.

        Raises:
            ActorNotFoundError: The actor does not exist.
            RegistryError: The reason is longer or has line breaks, or the actor's key is missing.
            AuditError: The audit log cannot be written.
        """
        if len(reason) > MAX_REASON_LENGTH or not (reason.isprintable() or not reason):
            raise RegistryError(
                f"the reason is {ascii(reason)[:40]}: use one line of up to {MAX_REASON_LENGTH} "
                "characters"
            )
        with self._write_actor_session(normalize_actor_id(actor)) as (_, backend, rows):
            folder = rows[0].folder
            suspension = ActorSuspension(utc_timestamp(), reason)
            # The reason may name people, so it is encrypted and goes with the actor.
            key = backend.keys.load_key(folder)
            sealed = cipher.seal_bytes(key, _suspension_context(folder), reason.encode())
            audit_events.record_actor_event(backend, "suspend", folder)
            self._index.add_suspension(folder, suspension.since, sealed)
        return suspension

    def resume(self, actor: str) -> None:
        """End the suspension of an actor.

        Raises:
            ActorNotFoundError: The actor does not exist.
            RegistryError: The actor is not suspended.
            AuditError: The audit log cannot be written.
        """
        with self._write_actor_session(normalize_actor_id(actor)) as (_, backend, rows):
            folder = rows[0].folder
            if self._index.find_suspension(folder) is None:
                raise RegistryError(f"{actor!r} is not suspended: there is nothing to resume")
            audit_events.record_actor_event(backend, "resume", folder)
            self._index.remove_suspension(folder)

    def suspension(self, revision: Revision) -> ActorSuspension | None:
        """Return the suspension of a revision's actor, or None.

        Raises:
            RegistryError: The actor's key is missing, so the reason cannot be decrypted.
        """
        # The row is plain, the reason needs the actor's key.
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
        """Check that a revision's actor is not suspended.

        Raises:
            SuspendedError: The actor is suspended.
            RegistryError: The actor's key is missing.
        """
        suspension = self.suspension(revision)
        if suspension is not None:
            why = f" ({suspension.reason})" if suspension.reason else ""
            raise SuspendedError(
                f"{revision.actor!r} is suspended since {suspension.since}{why}: "
                "'dubfew actors resume' ends that, once they agree"
            )

    def check_learning(self, actor: str, consent: ConsentRecord | None) -> str:
        """Check that an actor may be adapted today, under the policy of this home folder.

        Args:
            actor: the actor's id.
            consent: the consent record, or None without one.

        Returns:
            A note for the user, one line, or "".

        Raises:
            ConsentError: The record is not valid today or is of a minor, or it is missing
                and the policy requires one.
        """
        return check_learning_allowed(actor, consent, read_policy(self.home), today_utc())

    def check_render(self, revision: Revision, purpose: RenderPurpose) -> str:
        """Check that an actor may be rendered today for a purpose, under the policy of this home.

        Args:
            revision: the revision to render; the consent record of its actor counts, see
                `consent`.
            purpose: what the render is for.

        Returns:
            A note for the user, one line, or "".

        Raises:
            SuspendedError: The actor is suspended.
            ConsentError: The consent does not cover the purpose, or is damaged.
        """
        self.check_suspension(revision)
        consent = self.consent(revision.actor, revision.number)
        return self.check_purpose(revision.actor, consent, purpose)

    def check_purpose(
        self, actor: str, consent: ConsentRecord | None, purpose: RenderPurpose
    ) -> str:
        """Check that a consent record covers a purpose today, under the policy of this home.

        Args:
            actor: id of an actor, who may still have to be learned.
            consent: the record that is or will be in force, or None.
            purpose: what a render is for.

        Returns:
            A note for the user, one line, or "".

        Raises:
            ConsentError: The consent does not cover the purpose, or is damaged.
        """
        return check_render_allowed(actor, consent, purpose, read_policy(self.home), today_utc())

    def consent(self, actor: str, revision: int | None = None) -> ConsentRecord | None:
        """Return the consent record that binds a revision of an actor.

        A record binds all revisions that show the same person, older ones included. Revisions that
        were stored as another person (``create(..., new_person=True)``) have records of their own.

        Args:
            actor: the actor's id.
            revision: number of the revision; by default the one that is used.

        Returns:
            The record of the newest revision of that person that has one; None where none has, or
            where the actor does not exist.

        Raises:
            ActorNotFoundError: The actor exists, but has no such revision.
            ConsentError: The stored value is not a consent record.
        """
        try:
            revisions = self.revisions(actor)
        except ActorNotFoundError:
            return None
        row = self.open(actor, revision)._row
        numbers = self._index.same_person(row.folder, row.number)
        # A revision without a record, such as an imported one, does not free the actor of theirs.
        found = (each.consent for each in reversed(revisions) if each.number in numbers)
        return next((consent for consent in found if consent is not None), None)

    def attach_consent(self, actor: str, consent: ConsentRecord) -> Revision:
        """Store a copy of an actor's default revision under another consent record.

        From then on the record binds all revisions that show the same person.

        Args:
            actor: the actor's id.
            consent: the new record.

        Returns:
            The new revision.

        Raises:
            ActorNotFoundError: The actor does not exist.
            ConsentError: The consent is of a minor, is not filled in, or has ended.
            RegistryError: The revision cannot be read or stored.
        """
        consent.check_new(today_utc(), repr(actor))
        # Files are copied: revisions share nothing, so that each can be removed alone.
        current = self.open(actor)
        config = {**current.config, "consent": consent.to_config_entry()}
        files = {name: current.read(name) for name in current.file_names()}
        return self._store_revision(actor, config, files, refuse_deleted=False, event="consent")

    def audit(self) -> AuditLog | None:
        """Return the audit log, or None where nothing was ever stored."""
        known = self._prepare_reading()
        return None if known is None else audit_events.open_audit_log(known[1])

    def pseudonyms(self) -> dict[str, str]:
        """Return the id of every stored actor by the pseudonym that the audit log uses.

        Raises:
            RegistryError: The keys cannot be unlocked, or one is missing.
        """
        known = self._prepare_reading()
        return {} if known is None else actors_by_pseudonym(self._index, known[1].keys)


def _suspension_context(folder: str) -> bytes:
    """Return the context under which the reason of a suspension is encrypted."""
    return f"{folder}\0suspension".encode()
