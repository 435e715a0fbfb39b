"""The store of actors on disk: create, open, list, delete, prune and verify."""

from __future__ import annotations

import builtins
import hashlib
import json
import re
import secrets
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from dubfew.errors import ActorNotFoundError, RegistryError, TombstoneError
from dubfew.registry import erasure
from dubfew.registry.audit_events import record_actor_event
from dubfew.registry.backend import RegistryBackend
from dubfew.registry.index import FileRow, RegistryIdentity, RegistryIndex, RevisionRow
from dubfew.registry.keys import DEFAULT_WRAPPING, KeyStore
from dubfew.registry.locations import INDEX_FILE_NAME, resolve_folders
from dubfew.registry.migration import encrypt_plain_files
from dubfew.registry.names import (
    check_distinct,
    check_file_names,
    normalize_actor_id,
    suggest_actor_id,
)
from dubfew.registry.receipt import ErasureReceipt
from dubfew.registry.renaming import rename_actor
from dubfew.registry.revision import REVISION_CONFIG_NAME, Revision
from dubfew.registry.storage import ActorStorage, file_context, write_sealed_file
from dubfew.registry.tombstones import compute_actor_mark, compute_content_mark
from dubfew.registry.verification import IntegrityReport, find_faults
from dubfew.utils.files import check_output_path, check_writable_folder
from dubfew.utils.timestamps import utc_timestamp

# Longest name of an adaptation method in a config, characters. It goes into the index and into
# listings, and imported configs are not trusted.
MAX_METHOD_NAME_LENGTH = 40


class ActorStore:
    """The actors under one home folder; the first layer of `Registry`.

    Several processes may use it at once. Nothing is created on disk before the first actor is
    stored. A process may be killed at any point: the next call removes a revision that it had not
    finished storing, and finishes a deletion that it had begun.

    `Registry` inherits from `GovernedStore`, which inherits from this class, to split its methods
    by subject. Each layer needs the sessions of the one below (``_write_session``,
    ``_store_revision``), whose order of locking, recovery and logging the crash tests fix.
    Composition would make those public and add a forwarding method for each of two dozen.
    """

    # Wrapping of the master key, where the first actor creates one.
    _new_wrapping = DEFAULT_WRAPPING

    def __init__(self, home: Path | None = None, keys: Path | None = None) -> None:
        """Open a store, which need not exist yet.

        Args:
            home: folder of the data; by default `default_data_dir`.
            keys: folder of the keys; by default `locations.default_keys_folder`.

        Raises:
            RegistryError: The keys would lie inside the data.
        """
        self.home, self.keys = resolve_folders(home, keys)
        self._index = RegistryIndex(self.home / INDEX_FILE_NAME)
        self._storage = ActorStorage(self.home)

    def create(
        self,
        actor: str,
        config: Mapping[str, Any],
        files: Mapping[str, bytes],
        *,
        make_default: bool = True,
        new_person: bool = False,
        overrides: Sequence[str] = (),
    ) -> Revision:
        """Store a new revision of an actor, completely or not at all.

        The id of a deleted actor may be used again: adapting from footage is a new decision, not
        the return of deleted data. The tombstone of the id is lifted, those of contents stay.

        Args:
            actor: id, up to 100 printable characters without path separators.
            config: values that JSON can hold; ``config["method"]`` becomes the revision's method.
            files: content by name (letters, digits, ".", "_", "-").
            make_default: whether the revision becomes the actor's default, see `use_revision`. The
                first revision of an actor always does.
            new_person: whether it shows another person than the default revision. Consent records
                bind the revisions of one person.
            overrides: names of checks that were switched off for it, for the audit log.

        Returns:
            The new revision.

        Raises:
            RegistryError: A name or the config cannot be stored, or a new id is confusable with
                another.
            AuditError: The audit log cannot be written.
        """
        switched_off = {"overrides": [*overrides]} if overrides else {}
        return self._store_revision(
            actor,
            config,
            files,
            refuse_deleted=False,
            event="adapt",
            make_default=make_default,
            new_person=new_person,
            **switched_off,
        )

    def restore(
        self,
        actor: str,
        config: Mapping[str, Any],
        files: Mapping[str, bytes],
        *,
        allow_deleted: bool = False,
        new_person: bool = False,
        source_sha256: str | None = None,
    ) -> Revision:
        """Store a revision that was stored elsewhere or earlier, as :meth:`create` does.

        Args:
            actor: id to store it under.
            config: its config.
            files: its files by name.
            allow_deleted: also store an actor or content that was deleted here.
            new_person: whether it shows another person than the actor's default revision.
            source_sha256: SHA-256 of the file that it comes from, for the audit log.

        Returns:
            The new revision.

        Raises:
            TombstoneError: The actor or the content was deleted here and ``allow_deleted`` is
                False.
            RegistryError: It cannot be stored, see :meth:`create`.
            AuditError: The audit log cannot be written.
        """
        return self._store_revision(
            actor,
            config,
            files,
            refuse_deleted=not allow_deleted,
            event="import",
            new_person=new_person,
            file_sha256=source_sha256,
            overrides=[
                *(["allow-deleted"] if allow_deleted else []),
                *(["new-person"] if new_person else []),
            ],
        )

    def _store_revision(
        self,
        actor: str,
        config: Mapping[str, Any],
        files: Mapping[str, bytes],
        *,
        refuse_deleted: bool,
        event: str,
        make_default: bool = True,
        new_person: bool = False,
        **audit_fields: Any,
    ) -> Revision:
        """Store a revision; ``event`` and ``audit_fields`` become its entry in the audit log."""
        actor = normalize_actor_id(actor)
        # Check everything that needs no lock before the lock is taken.
        method = _method_from_config(config)
        if REVISION_CONFIG_NAME in files:
            raise RegistryError(
                f"{REVISION_CONFIG_NAME!r} is kept for the config: rename that file"
            )
        stored = dict(sorted({REVISION_CONFIG_NAME: _config_to_json(config), **files}.items()))
        check_file_names([*stored])
        hashes = [(name, hashlib.sha256(content).hexdigest()) for name, content in stored.items()]
        with self._write_session() as (identity, backend):
            # Refuse confusable ids and deleted actors or content.
            earlier = self._index.revisions(actor)
            if not earlier:
                check_distinct(actor, self._index.actors_by_folder().values())
            mark = compute_content_mark(hashes, identity.salt)
            tombstones = self._index.tombstones()
            # scrypt takes time, so the mark of the id is computed only if it can match.
            lift = compute_actor_mark(actor, identity.salt) if tombstones and not earlier else None
            if refuse_deleted and (mark in tombstones or lift in tombstones):
                raise TombstoneError(
                    f"{actor!r} was deleted from {self.home}, and deleted actors do not come back "
                    "by an import: adapt the actor anew, or say --allow-deleted"
                )
            folder = earlier[-1].folder if earlier else secrets.token_hex(16)
            number = earlier[-1].number + 1 if earlier else 1
            # Files come before rows, so that a row never refers to missing files. The next writer
            # removes files and keys without a row.
            rows, size = self._write_files(
                backend.keys, folder, number, stored, is_new_actor=not earlier
            )
            row = RevisionRow(
                actor=actor,
                folder=folder,
                number=number,
                created=utc_timestamp(),
                method=method,
                content_bytes=sum(file.bytes for file in rows),
                stored_bytes=size,
                mark=mark,
            )
            audit_fields = {
                "revision": number,
                "consent_sha256": _consent_sha256_from_config(config),
                **audit_fields,
            }
            record_actor_event(backend, event, folder, **audit_fields)
            kept = None if make_default or not earlier else self._index.default_number(folder)
            self._index.insert(row, rows, lift, default_number=kept, new_person=new_person)
        return Revision(row, backend)

    def _write_files(
        self,
        keys: KeyStore,
        folder: str,
        number: int,
        contents: Mapping[str, bytes],
        *,
        is_new_actor: bool,
    ) -> tuple[builtins.list[FileRow], int]:
        """Write the encrypted files of a revision; return their rows and their size on disk."""
        rows, size = [], 0
        try:
            # An exception removes the folder, and the key of an actor that is new.
            with self._storage.stage_revision(folder, number) as staged:
                key = keys.create_key(folder) if is_new_actor else keys.load_key(folder)
                for name, content in contents.items():
                    path = staged / name
                    sha256 = write_sealed_file(
                        path, content, key, file_context(folder, number, name)
                    )
                    rows.append(FileRow(name, len(content), sha256))
                    size += path.stat().st_size
        except BaseException:
            if is_new_actor:
                keys.destroy_key(folder)
            raise
        return rows, size

    def check_create(self, actor: str) -> None:
        """Check that a revision of an actor could be stored, before the work that makes it.

        Raises:
            DubfewError: A folder cannot be written to, the keys cannot be unlocked, or the id is
                invalid or confusable with another.
        """
        actor = normalize_actor_id(actor)
        # The same refusals as in create, without writing anything.
        check_writable_folder(self.home)
        check_writable_folder(self.keys)
        known = self._prepare_reading()
        if known is not None:
            _, backend = known
            backend.keys.check_unlockable()
            others = self._index.actors_by_folder().values()
            if actor not in others:
                check_distinct(actor, others)

    def open(self, actor: str, revision: int | None = None) -> Revision:
        """Open one revision of an actor.

        Args:
            actor: the actor's id.
            revision: number of the revision; by default the actor's default, which is the newest
                one unless `use_revision` or `create` chose another.

        Raises:
            ActorNotFoundError: The actor or the revision does not exist; the message names those
                that do.
        """
        # Any revision that exists is in this list, so the error can name the others.
        revisions = self.revisions(actor)
        if revision is None:
            revision = self._index.default_number(revisions[-1]._row.folder)
        for candidate in revisions:
            if candidate.number == revision:
                return candidate
        raise ActorNotFoundError(
            f"{revisions[-1].actor!r} has no revision {revision}, only "
            f"{', '.join(str(candidate.number) for candidate in revisions)}: name one of these"
        )

    def revisions(self, actor: str) -> builtins.list[Revision]:
        """Return all revisions of an actor, oldest first, at least one.

        Raises:
            ActorNotFoundError: The actor does not exist.
        """
        actor = normalize_actor_id(actor)
        known = self._prepare_reading()
        rows = self._index.revisions(actor) if known is not None else []
        if known is None or not rows:
            raise self._actor_not_found_error(actor)
        return [Revision(row, known[1]) for row in rows]

    def list(self) -> builtins.list[Revision]:
        """Return the default revision of every actor, by id, without any key."""
        known = self._prepare_reading()
        if known is None:
            return []
        return [Revision(row, known[1]) for row in self._index.default_revisions()]

    def use_revision(self, actor: str, revision: int) -> Revision:
        """Make a revision the actor's default, which is used wherever no revision is named.

        Args:
            actor: the actor's id.
            revision: number of the revision.

        Returns:
            The revision.

        Raises:
            ActorNotFoundError: The actor or the revision does not exist.
            AuditError: The audit log cannot be written.
        """
        actor = normalize_actor_id(actor)
        # Before the lock: its error names the revisions that exist.
        self.open(actor, revision)
        with self._write_actor_session(actor) as (_, backend, rows):
            chosen = [row for row in rows if row.number == revision]
            if not chosen:  # removed meanwhile
                raise ActorNotFoundError(f"{actor!r} has no revision {revision} any more")
            record_actor_event(backend, "use-revision", rows[0].folder, revision=revision)
            self._index.set_default(rows[0].folder, revision)
        return Revision(chosen[0], backend)

    def rename(self, actor: str, new_actor: str, *, allow_deleted: bool = False) -> Revision:
        """Give an actor another id. Revisions, consent, suspension and pseudonym stay.

        The old id is free again. A later deletion leaves tombstones of both.

        Args:
            actor: the actor's id.
            new_actor: the new id.
            allow_deleted: also take the id of an actor who was deleted here.

        Returns:
            The default revision under its new id.

        Raises:
            ActorNotFoundError: The actor does not exist.
            TombstoneError: An actor of the new id was deleted here.
            RegistryError: The new id is invalid, taken, or confusable with another actor's; or the
                actor is renamed, but another process keeps old pages of the index alive.
            AuditError: The audit log cannot be written.
        """
        actor, new_actor = normalize_actor_id(actor), normalize_actor_id(new_actor)
        with self._write_actor_session(actor) as (identity, backend, rows):
            rename_actor(backend, identity, rows, new_actor, allow_deleted=allow_deleted)
        return self.open(new_actor)

    def delete(
        self, actor: str, receipt: Path | None = None, *, overwrite: bool = False
    ) -> ErasureReceipt:
        """Delete an actor: first the key, then every revision and every byte of the id.

        Tombstones refuse a return by import, see :meth:`restore`. The next call of any method
        finishes a deletion that was interrupted.

        Args:
            actor: the actor's id.
            receipt: another file for the receipt, which is always kept in ``<home>/receipts``.
            overwrite: replace ``receipt`` where it exists.

        Returns:
            The receipt.

        Raises:
            ActorNotFoundError: The actor does not exist.
            RegistryError: The actor is deleted, but another process keeps old pages of the index
                alive.
            OutputExistsError: ``receipt`` exists and ``overwrite`` is False; nothing is deleted.
            DubfewError: ``receipt`` cannot be written; nothing is deleted.
        """
        actor = normalize_actor_id(actor)
        if receipt is not None:
            check_output_path(Path(receipt), overwrite=overwrite)
        # Leftovers of a killed process may belong to the actor, so all folders are searched.
        with self._write_actor_session(actor, full_sweep=True) as (identity, backend, rows):
            # The note makes the deletion certain; the second call carries it out.
            draft = erasure.begin_erasure(backend, identity, rows)
            erasure.finish_erasures(backend)
        if receipt is not None:
            draft.write(Path(receipt))
        return draft

    def receipt_file(self, receipt: ErasureReceipt) -> Path:
        """Return the file in which the receipt of a deletion is kept."""
        return self._storage.receipts_folder / receipt.file_name

    def prune(self, actor: str, keep: int) -> builtins.list[int]:
        """Remove all but the newest revisions of an actor; the default revision stays, too.

        The actor's key stays, so earlier copies of the files stay readable with it; only
        :meth:`delete` ends that.

        Args:
            actor: the actor's id.
            keep: number of revisions that stay, at least 1.

        Returns:
            The numbers of the removed revisions.

        Raises:
            ActorNotFoundError: The actor does not exist.
            RegistryError: ``keep`` is less than 1.
            AuditError: The audit log cannot be written.
        """
        actor = normalize_actor_id(actor)
        if keep < 1:
            raise RegistryError(f"{keep} revisions cannot be kept: keep at least 1, or delete")
        with self._write_actor_session(actor) as (_, backend, rows):
            default = self._index.default_number(rows[0].folder)
            gone = [row.number for row in rows[:-keep] if row.number != default]
            record_actor_event(backend, "prune", rows[0].folder, revisions=gone)
            # Rows go before files, so that a row never refers to missing files.
            self._index.delete_revision_rows(rows[0].folder, gone)
            for number in gone:
                self._storage.remove_revision(rows[0].folder, number)
        return gone

    def verify(self) -> IntegrityReport:
        """Compare index, files and keys, after removing the leftovers of killed processes.

        Raises:
            RegistryError: The index cannot be read.
        """
        # Nothing was ever stored here.
        if not (self._index.exists() or self._storage.pending_deletions()):
            return IntegrityReport(0, 0, 0, 0, (), ())
        with self._storage.lock():
            backend = self._open_backend(self._index.migrate(self._encrypt_plain_files))
            recovered = erasure.recover_after_crash(backend, full_sweep=True)
        faults = tuple(find_faults(backend))
        if faults:
            # Another process may have written meanwhile. Look again with the lock held.
            with self._write_session():
                faults = tuple(find_faults(backend))
        return IntegrityReport(*self._index.count_totals(), tuple(recovered), faults)

    def wrapping(self) -> str:
        """Return the name of the wrapping that protects the keys, see wrapping.py."""
        known = self._prepare_reading()
        return DEFAULT_WRAPPING if known is None else known[1].keys.wrapping_name

    def rewrap(self, name: str) -> None:
        """Wrap the master key of the actors' keys in another way from now on.

        Args:
            name: "file", "passphrase", "keyring", or the name of another package's wrapping.

        Raises:
            RegistryError: The wrapping is unknown or fails, or the keys cannot be unlocked.
        """
        with self._write_session() as (_, backend):
            backend.keys.rewrap_master_key(name)

    def _prepare_reading(self) -> tuple[RegistryIdentity, RegistryBackend] | None:
        """Return identity and backend for reading, or None where nothing is stored.

        Finishes a deletion that another process began, and migrates an older registry.
        """
        begun = self._storage.pending_deletions()
        if not (begun or self._index.exists()):
            return None
        # Deletions and migrations need the lock; everything else is read without it.
        identity = None if begun else self._index.load_registry_identity()
        if identity is None:
            with self._write_session() as known:
                return known
        return identity, self._open_backend(identity)

    @contextmanager
    def _write_session(
        self, *, full_sweep: bool = False
    ) -> Iterator[tuple[RegistryIdentity, RegistryBackend]]:
        """Make this process the only writer, after recovery. Every change of state happens here.

        Args:
            full_sweep: see `erasure.recover_after_crash`.
        """
        with self._storage.lock():
            identity = self._index.migrate(self._encrypt_plain_files)
            backend = self._open_backend(identity)
            erasure.recover_after_crash(backend, full_sweep=full_sweep)
            with self._storage.track_unfinished_write():
                yield identity, backend

    @contextmanager
    def _write_actor_session(
        self, actor: str, *, full_sweep: bool = False
    ) -> Iterator[tuple[RegistryIdentity, RegistryBackend, builtins.list[RevisionRow]]]:
        """Open a write session for an actor that exists, with its revisions, oldest first.

        Raises:
            ActorNotFoundError: The actor does not exist.
        """
        if self._prepare_reading() is None:
            raise self._actor_not_found_error(actor)
        with self._write_session(full_sweep=full_sweep) as (identity, backend):
            rows = self._index.revisions(actor)
            if not rows:
                raise self._actor_not_found_error(actor)
            yield identity, backend, rows

    def _open_backend(self, identity: RegistryIdentity) -> RegistryBackend:
        """Combine index and files with the keys of this registry."""
        # Each registry has its own folder of keys, so that several can share DUBFEW_KEYS.
        keys = KeyStore(self.keys / identity.id, self._new_wrapping)
        return RegistryBackend(self._index, self._storage, keys)

    def _encrypt_plain_files(self, identity: RegistryIdentity) -> None:
        """Encrypt a registry from before encryption, for `RegistryIndex.migrate`."""
        encrypt_plain_files(
            self._index, self._storage, self._open_backend(identity).keys, identity.salt
        )

    def _actor_not_found_error(self, actor: str) -> ActorNotFoundError:
        """Build the error for an unknown id."""
        known = self._index.actors_by_folder().values() if self._index.exists() else ()
        meant = suggest_actor_id(actor, known)
        question = f"did you mean {meant!r}? " if meant else ""
        return ActorNotFoundError(
            f"no actor {actor!r} in {self.home}: {question}'dubfew actors list' shows all actors, "
            "'dubfew adapt' adds one"
        )


def _method_from_config(config: Mapping[str, Any]) -> str:
    """Return the adaptation method in a config, checked, or ""."""
    method = config.get("method", "")
    if not (
        isinstance(method, str) and len(method) <= MAX_METHOD_NAME_LENGTH and method.isprintable()
    ):
        raise RegistryError(
            f"the config's method is {ascii(method)[:60]}: expected a short printable text"
        )
    return method


def _consent_sha256_from_config(config: Mapping[str, Any]) -> str | None:
    """Return the hash of the consent record in a config, or None if it does not look like one."""
    consent = config.get("consent")
    sha256 = consent.get("sha256") if isinstance(consent, Mapping) else None
    return sha256 if isinstance(sha256, str) and re.fullmatch("[0-9a-f]{64}", sha256) else None


def _config_to_json(config: Mapping[str, Any]) -> bytes:
    """Write a config as JSON, always in the same form."""
    try:
        return json.dumps(dict(config), allow_nan=False, sort_keys=True, indent=1).encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise RegistryError(
            f"the config cannot be stored as JSON ({error}): use plain numbers, texts, "
            "lists and dictionaries"
        ) from error
