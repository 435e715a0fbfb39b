"""Actors on disk: create, open, list, delete, prune, verify."""

from __future__ import annotations

import builtins
import hashlib
import json
import re
import secrets
from collections.abc import Iterator, Mapping
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
from dubfew.registry.names import check_distinct, check_file_names, normalize_actor_id
from dubfew.registry.receipt import ErasureReceipt
from dubfew.registry.revision import REVISION_CONFIG_NAME, Revision
from dubfew.registry.storage import ActorStorage, file_context, write_sealed_file
from dubfew.registry.tombstones import compute_actor_mark, compute_content_mark
from dubfew.registry.verification import IntegrityReport, find_faults
from dubfew.utils.files import check_output_path, check_writable_folder
from dubfew.utils.timestamps import utc_timestamp

MAX_METHOD_NAME_LENGTH = 40


class ActorStore:
    """The actors under one home folder. Safe for several processes at once.

    Nothing is created before the first actor is stored. A process may be killed at any
    moment: what it was storing is not there, what it was deleting is deleted at the next call.
    """

    def __init__(self, home: Path | None = None, keys: Path | None = None) -> None:
        """A store, which need not exist yet.

        Args:
            home: its folder; by default :func:`default_data_dir`.
            keys: the folder of keys; by default ``default_keys_folder``.

        Raises:
            RegistryError: the keys would lie among what they protect.
        """
        self.home, self.keys = resolve_folders(home, keys)
        self._index = RegistryIndex(self.home / INDEX_FILE_NAME)
        self._storage = ActorStorage(self.home)

    def create(self, actor: str, config: Mapping[str, Any], files: Mapping[str, bytes]) -> Revision:
        """Store a new revision of an actor, wholly or not at all.

        An id that was deleted may be used again: footage was at hand, so this is a new decision
        and no return of what was deleted. Its tombstone is lifted, those of contents stay.

        Args:
            actor: up to 100 printable characters, no path separators.
            config: anything JSON can say; ``config["method"]`` becomes the revision's method.
            files: content by name (letters, digits, ".", "_", "-").

        Raises:
            RegistryError: a name or the config cannot be stored, or a new id looks like another.
            AuditError: the audit log cannot be written.
        """
        return self._store_revision(actor, config, files, refuse_deleted=False, event="adapt")

    def restore(
        self,
        actor: str,
        config: Mapping[str, Any],
        files: Mapping[str, bytes],
        *,
        allow_deleted: bool = False,
        source_sha256: str | None = None,
    ) -> Revision:
        """Like :meth:`create`, for what was stored elsewhere or before.

        Args:
            source_sha256: of the file that it comes from, for the audit log.

        Raises:
            TombstoneError: actor or content was deleted here, and ``allow_deleted`` is not set.
            RegistryError: as in :meth:`create`.
        """
        return self._store_revision(
            actor,
            config,
            files,
            refuse_deleted=not allow_deleted,
            event="import",
            file_sha256=source_sha256,
            overrides=["allow-deleted"] if allow_deleted else [],
        )

    def _store_revision(
        self,
        actor: str,
        config: Mapping[str, Any],
        files: Mapping[str, bytes],
        *,
        refuse_deleted: bool,
        event: str,
        **audit_fields: Any,
    ) -> Revision:
        """Args: event, told: what the audit log is to say of it."""
        actor = normalize_actor_id(actor)
        method = _method_from_config(config)
        if REVISION_CONFIG_NAME in files:
            raise RegistryError(
                f"{REVISION_CONFIG_NAME!r} is kept for the config: rename that file"
            )
        stored = dict(sorted({REVISION_CONFIG_NAME: _config_to_json(config), **files}.items()))
        check_file_names([*stored])
        hashes = [(name, hashlib.sha256(content).hexdigest()) for name, content in stored.items()]
        with self._write_session() as (identity, backend):
            earlier = self._index.revisions(actor)
            if not earlier:
                check_distinct(actor, self._index.actors_by_folder().values())
            mark = compute_content_mark(hashes, identity.salt)
            buried = self._index.tombstones()
            lift = compute_actor_mark(actor, identity.salt) if buried and not earlier else None
            if refuse_deleted and (mark in buried or lift in buried):
                raise TombstoneError(
                    f"{actor!r} was deleted from {self.home}, and deleted actors do not come back "
                    "by an import: adapt the actor anew, or say --allow-deleted"
                )
            folder = earlier[-1].folder if earlier else secrets.token_hex(16)
            number = earlier[-1].number + 1 if earlier else 1
            # Files first: a row must never promise what is not there. Files and keys without a
            # row are swept by the next writer.
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
            self._index.insert(row, rows, lift)
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
        """Put a revision's files in their place. Rows, and size on disk."""
        rows, size = [], 0
        try:
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
        """See whether a new revision of an actor could be stored, before the work that makes it.

        Raises:
            DubfewError: it could not: the folders, the keys, or an id that looks like another.
        """
        actor = normalize_actor_id(actor)
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
        """One revision of an actor, by default the newest.

        Raises:
            ActorNotFoundError: no such actor or revision; the message names those there are.
        """
        revisions = self.revisions(actor)
        if revision is None:
            return revisions[-1]
        for candidate in revisions:
            if candidate.number == revision:
                return candidate
        raise ActorNotFoundError(
            f"{revisions[-1].actor!r} has no revision {revision}, only "
            f"{', '.join(str(candidate.number) for candidate in revisions)}: name one of these"
        )

    def revisions(self, actor: str) -> builtins.list[Revision]:
        """All revisions of one actor, oldest first, at least one.

        Raises:
            ActorNotFoundError: no such actor.
        """
        actor = normalize_actor_id(actor)
        known = self._prepare_reading()
        rows = self._index.revisions(actor) if known is not None else []
        if known is None or not rows:
            raise self._actor_not_found_error(actor)
        return [Revision(row, known[1]) for row in rows]

    def list(self) -> builtins.list[Revision]:
        """The newest revision of every actor, by id. Needs no key."""
        known = self._prepare_reading()
        if known is None:
            return []
        return [Revision(row, known[1]) for row in self._index.newest_revisions()]

    def delete(self, actor: str, receipt: Path | None = None) -> ErasureReceipt:
        """Remove an actor: the key first, then every revision, and every byte of the id, under
        the home folder. A tombstone refuses their return, see :meth:`restore`.

        A deletion that was interrupted is finished by the next call of any method.

        Args:
            receipt: one more place for the receipt, which is kept in ``<home>/receipts``.

        Raises:
            ActorNotFoundError: no such actor.
            RegistryError: the actor is gone, but another process keeps traces alive.
            DubfewError: ``receipt`` cannot be written.
        """
        actor = normalize_actor_id(actor)
        if receipt is not None:
            check_output_path(Path(receipt))
        # What a killed process left may be the actor's.
        with self._write_actor_session(actor, full_sweep=True) as (identity, backend, rows):
            draft = erasure.begin_erasure(backend, identity, rows)
            erasure.finish_erasures(backend)
        if receipt is not None:
            draft.write(Path(receipt))
        return draft

    def receipt_file(self, receipt: ErasureReceipt) -> Path:
        """Where the receipt of a deletion is kept."""
        return self._storage.receipts_folder / receipt.file_name

    def prune(self, actor: str, keep: int) -> builtins.list[int]:
        """Remove all revisions of an actor but the newest ``keep``, and return their numbers.

        The actor's key stays, so a copy of the files that somebody made earlier stays readable
        with it; only :meth:`delete` ends that.

        Raises:
            ActorNotFoundError: no such actor.
            RegistryError: ``keep`` is less than 1.
        """
        actor = normalize_actor_id(actor)
        if keep < 1:
            raise RegistryError(f"{keep} revisions cannot be kept: keep at least 1, or delete")
        with self._write_actor_session(actor) as (_, backend, rows):
            gone = [row.number for row in rows[:-keep]]
            record_actor_event(backend, "prune", rows[0].folder, revisions=gone)
            # Rows first, see _store.
            self._index.delete_revision_rows(rows[0].folder, gone)
            for number in gone:
                self._storage.remove_revision(rows[0].folder, number)
        return gone

    def verify(self) -> IntegrityReport:
        """Compare index, files and keys. What a killed process left is cleared away and told.

        Raises:
            RegistryError: the index cannot be read.
        """
        if not (self._index.exists() or self._storage.pending_deletions()):
            return IntegrityReport(0, 0, 0, 0, (), ())
        with self._storage.lock():
            backend = self._open_backend(self._index.migrate(self._encrypt_plain_files))
            recovered = erasure.recover_after_crash(backend, full_sweep=True)
        faults = tuple(find_faults(backend))
        if faults:
            # Others may have been at work meanwhile; now nobody is.
            with self._write_session():
                faults = tuple(find_faults(backend))
        return IntegrityReport(*self._index.count_totals(), tuple(recovered), faults)

    def wrapping(self) -> str:
        """How the keys are kept, see wrapping.py."""
        known = self._prepare_reading()
        return DEFAULT_WRAPPING if known is None else known[1].keys.wrapping_name

    def rewrap(self, name: str) -> None:
        """Keep the keys another way from now on.

        Args:
            name: "file", "passphrase", "keyring", or what another package adds.

        Raises:
            RegistryError: there is no such way, it fails, or the keys cannot be unlocked.
        """
        with self._write_session() as (_, backend):
            backend.keys.rewrap_master_key(name)

    def _prepare_reading(self) -> tuple[RegistryIdentity, RegistryBackend] | None:
        """What is needed for reading, or None; finishes what another process left undone."""
        begun = self._storage.pending_deletions()
        if not (begun or self._index.exists()):
            return None
        identity = None if begun else self._index.load_registry_identity()
        if identity is None:
            with self._write_session() as known:
                return known
        return identity, self._open_backend(identity)

    @contextmanager
    def _write_session(
        self, *, full_sweep: bool = False
    ) -> Iterator[tuple[RegistryIdentity, RegistryBackend]]:
        """The only writer, in a registry without leftovers. Every change of state happens here.

        Args:
            full_sweep: see ``erasure.recover``.
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
        """The only writer, and an actor's revisions, oldest first, at least one.

        Raises:
            ActorNotFoundError: no such actor.
        """
        if self._prepare_reading() is None:
            raise self._actor_not_found_error(actor)
        with self._write_session(full_sweep=full_sweep) as (identity, backend):
            rows = self._index.revisions(actor)
            if not rows:
                raise self._actor_not_found_error(actor)
            yield identity, backend, rows

    def _open_backend(self, identity: RegistryIdentity) -> RegistryBackend:
        # A folder for each registry, so that several can share DUBFEW_KEYS.
        return RegistryBackend(self._index, self._storage, KeyStore(self.keys / identity.id))

    def _encrypt_plain_files(self, identity: RegistryIdentity) -> None:
        encrypt_plain_files(
            self._index, self._storage, self._open_backend(identity).keys, identity.salt
        )

    def _actor_not_found_error(self, actor: str) -> ActorNotFoundError:
        return ActorNotFoundError(
            f"no actor {actor!r} in {self.home}: 'dubfew actors list' shows who is there, "
            "'dubfew adapt' adds one"
        )


def _method_from_config(config: Mapping[str, Any]) -> str:
    method = config.get("method", "")
    if not (
        isinstance(method, str) and len(method) <= MAX_METHOD_NAME_LENGTH and method.isprintable()
    ):
        raise RegistryError(
            f"the config's method is {ascii(method)[:60]}: expected a short printable text"
        )
    return method


def _consent_sha256_from_config(config: Mapping[str, Any]) -> str | None:
    """The hash that stands beside a consent record; what came from elsewhere may have any."""
    kept = config.get("consent")
    sha256 = kept.get("sha256") if isinstance(kept, Mapping) else None
    return sha256 if isinstance(sha256, str) and re.fullmatch("[0-9a-f]{64}", sha256) else None


def _config_to_json(config: Mapping[str, Any]) -> bytes:
    try:
        return json.dumps(dict(config), allow_nan=False, sort_keys=True, indent=1).encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise RegistryError(
            f"the config cannot be stored as JSON ({error}): use plain numbers, texts, "
            "lists and dictionaries"
        ) from error
