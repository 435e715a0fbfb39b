"""Revisions: the stored states of an actor, and reading their files."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from dubfew.errors import ActorNotFoundError, DecryptionError, KeyMissingError, RegistryError
from dubfew.registry.audit_events import record_actor_event
from dubfew.registry.backend import RegistryBackend
from dubfew.registry.consent import ConsentRecord, consent_from_config
from dubfew.registry.index import FileRow, RevisionRow

# File that holds a revision's config. It is encrypted like every other file.
REVISION_CONFIG_NAME = "config.json"


@dataclass(frozen=True)
class Revision:
    """One stored state of one actor.

    Files are read with :meth:`read`, which decrypts and authenticates them. Revisions come from
    `Registry.open`, `Registry.list` and the methods that store one.
    """

    # A listing makes tens of thousands of revisions, so nothing is copied out of the row.
    _row: RevisionRow
    _backend: RegistryBackend = field(repr=False, compare=False)

    @property
    def actor(self) -> str:
        """Id of the actor."""
        return self._row.actor

    @property
    def number(self) -> int:
        """Number of the revision, from 1 for every actor."""
        return self._row.number

    @property
    def created(self) -> str:
        """Time at which it was stored, ISO 8601 in UTC."""
        return self._row.created

    @property
    def method(self) -> str:
        """Adaptation method ("lora", "texture", "full"); empty if unknown."""
        return self._row.method

    @property
    def stored_bytes(self) -> int:
        """Size of all encrypted files on disk, bytes."""
        return self._row.stored_bytes

    @property
    def content_bytes(self) -> int:
        """Size of the content of all files, bytes."""
        return self._row.content_bytes

    def file_names(self) -> list[str]:
        """Return the sorted names of the stored files, without the config.

        Raises:
            ActorNotFoundError: The revision was deleted meanwhile.
        """
        return [file.name for file in self.files()]

    def files(self) -> list[FileRow]:
        """Return the index entries of the stored files, without the config.

        Raises:
            ActorNotFoundError: The revision was deleted meanwhile.
        """
        return [file for file in self._file_rows if file.name != REVISION_CONFIG_NAME]

    @cached_property
    def config(self) -> dict[str, Any]:
        """The config that was stored with `Registry.create`.

        Raises:
            RegistryError: The stored config is damaged, or the actor's key is missing.
        """
        config = json.loads(self._read_file(REVISION_CONFIG_NAME))
        assert isinstance(config, dict)  # Registry.create stores a mapping, authenticated
        return config

    def read(self, name: str) -> bytes:
        """Return the content of a stored file.

        Raises:
            ActorNotFoundError: The revision was deleted meanwhile.
            KeyMissingError: The actor's key is missing.
            DecryptionError: The file is not what was stored.
            RegistryError: The revision has no file of that name.
        """
        # Ask the index, not the disk: a name never becomes a path that the index does not have.
        if name not in self.file_names():
            raise RegistryError(
                f"revision {self.number} of {self.actor!r} has no file {name!r}, "
                f"only {', '.join(self.file_names()) or 'its config'}: adapt the actor again"
            )
        return self._read_file(name)

    @cached_property
    def consent(self) -> ConsentRecord | None:
        """The consent record in the config, or None.

        Raises:
            ConsentError: The stored value is not a consent record.
            RegistryError: The stored config is damaged, or the actor's key is missing.
        """
        return consent_from_config(self.config, self.actor)

    def record_event(self, event: str, **fields: Any) -> None:
        """Write an action to the audit log before it is carried out, see audit_events.py.

        Args:
            event: one of `audit.AUDIT_EVENTS`.
            fields: facts in plain JSON, without ids, paths or free text.

        Raises:
            AuditError: The log cannot be written; the caller must not carry out the action.
            ActorNotFoundError: The revision was deleted meanwhile.
            RegistryError: The actor's key is missing.
        """
        fields = {"revision": self.number, **fields}
        try:
            record_actor_event(self._backend, event, self._row.folder, **fields)
        except (KeyMissingError, DecryptionError):
            if self._is_being_deleted():
                raise self._deleted_error() from None
            raise

    def check_exists(self) -> None:
        """Check that the revision still exists; fast enough for every frame of a render.

        Raises:
            ActorNotFoundError: The revision was deleted or pruned meanwhile.
        """
        row, backend = self._row, self._backend
        has_key = backend.keys.has_key(row.folder)
        if not (has_key and backend.storage.revision_folder(row.folder, row.number).is_dir()):
            raise self._deleted_error()

    @cached_property
    def _file_rows(self) -> list[FileRow]:
        """Index entries of all files, the config among them."""
        files = self._backend.index.files(self._row.folder, self._row.number)
        if not files:  # every revision has at least its config
            raise self._deleted_error()
        return files

    def _read_file(self, name: str) -> bytes:
        """Decrypt a file; an error tells a deletion from damage."""
        row, backend = self._row, self._backend
        try:
            # The key is read each time: after a deletion nothing may be readable.
            key = backend.keys.load_key(row.folder)
            return backend.storage.read_file(row.folder, row.number, name, key)
        except KeyMissingError:
            if self._is_being_deleted():
                raise self._deleted_error() from None
            raise
        except FileNotFoundError:
            raise ActorNotFoundError(
                f"the file {name!r} of revision {self.number} of {self.actor!r} is gone: the actor "
                "was deleted meanwhile or the registry is damaged; adapt or import the actor again"
            ) from None
        except DecryptionError as error:
            if self._is_being_deleted():  # a deletion overwrites files before it removes them
                raise self._deleted_error() from None
            raise DecryptionError(
                f"the file {name!r} of revision {self.number} of {self.actor!r} is damaged "
                f"({error}): adapt or import the actor again"
            ) from None

    def _is_being_deleted(self) -> bool:
        """Whether the revision is being deleted by another process, or is deleted."""
        # The note of a deletion is written before the key goes and removed after the rows.
        row, backend = self._row, self._backend
        deleting = backend.storage.is_deletion_pending(row.folder)
        return deleting or not backend.index.files(row.folder, row.number)

    def _deleted_error(self) -> ActorNotFoundError:
        """Build the error for a revision that was deleted while it was open."""
        return ActorNotFoundError(
            f"revision {self.number} of {self.actor!r} was deleted meanwhile: adapt or import the "
            "actor again"
        )
