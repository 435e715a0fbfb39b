"""One stored state of one actor."""

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

# Stored like every other file of a revision, so that what protects those protects it.
REVISION_CONFIG_NAME = "config.json"


@dataclass(frozen=True)
class Revision:
    """One stored state of one actor. Content goes through :meth:`read` and nowhere else."""

    # Listings make ten thousands of these, so nothing is copied out of the row.
    _row: RevisionRow
    _backend: RegistryBackend = field(repr=False, compare=False)

    @property
    def actor(self) -> str:
        """The actor's id."""
        return self._row.actor

    @property
    def number(self) -> int:
        """Counts from 1 for every actor."""
        return self._row.number

    @property
    def created(self) -> str:
        """When it was stored, ISO 8601 in UTC."""
        return self._row.created

    @property
    def method(self) -> str:
        """How it was learned ("lora", "texture", "full"); empty when unknown."""
        return self._row.method

    @property
    def stored_bytes(self) -> int:
        """Size of all files on disk, encrypted."""
        return self._row.stored_bytes

    @property
    def content_bytes(self) -> int:
        """Size of what the files hold."""
        return self._row.content_bytes

    def file_names(self) -> list[str]:
        """Names of the stored files, without the config, sorted.

        Raises:
            ActorNotFoundError: the actor was deleted meanwhile.
        """
        return [file.name for file in self.files()]

    def files(self) -> list[FileRow]:
        """The stored files, without the config: size of the content, SHA-256 of the ciphertext.

        Raises:
            ActorNotFoundError: the actor was deleted meanwhile.
        """
        return [file for file in self._file_rows if file.name != REVISION_CONFIG_NAME]

    @cached_property
    def config(self) -> dict[str, Any]:
        """What :meth:`Registry.create` was given as ``config``.

        Raises:
            RegistryError: the stored config is damaged, or its key is missing.
        """
        config = json.loads(self._read_file(REVISION_CONFIG_NAME))
        assert isinstance(config, dict)  # create() stored a mapping, and nobody else has the key
        return config

    def read(self, name: str) -> bytes:
        """A stored file's content.

        Raises:
            ActorNotFoundError: the actor was deleted meanwhile.
            KeyMissingError: the actor's key is not there.
            DecryptionError: the file is not what was stored.
            RegistryError: there is no such file.
        """
        if name not in self.file_names():
            raise RegistryError(
                f"revision {self.number} of {self.actor!r} has no file {name!r}, "
                f"only {', '.join(self.file_names()) or 'its config'}: adapt the actor again"
            )
        return self._read_file(name)

    @cached_property
    def consent(self) -> ConsentRecord | None:
        """The consent record that is kept with it, or None.

        Raises:
            ConsentError: what is kept is no record.
            RegistryError: as for `config`.
        """
        return consent_from_config(self.config, self.actor)

    def record_event(self, event: str, **fields: Any) -> None:
        """Add what is about to be done with it to the audit log, see audit_events.py.

        Raises:
            AuditError: it cannot be added: then it must not be done.
            ActorNotFoundError: the actor was deleted meanwhile.
            RegistryError: the actor's key is not there.
        """
        fields = {"revision": self.number, **fields}
        try:
            record_actor_event(self._backend, event, self._row.folder, **fields)
        except (KeyMissingError, DecryptionError):
            if self._is_being_deleted():
                raise self._deleted_error() from None
            raise

    def check_exists(self) -> None:
        """See that the revision is still there; cheap enough for every frame of a render.

        Raises:
            ActorNotFoundError: it was deleted or pruned meanwhile.
        """
        row, backend = self._row, self._backend
        there = backend.keys.has_key(row.folder)
        if not (there and backend.storage.revision_folder(row.folder, row.number).is_dir()):
            raise self._deleted_error()

    @cached_property
    def _file_rows(self) -> list[FileRow]:
        files = self._backend.index.files(self._row.folder, self._row.number)
        if not files:  # every revision has at least its config
            raise self._deleted_error()
        return files

    def _read_file(self, name: str) -> bytes:
        row, backend = self._row, self._backend
        try:
            # Not kept: after a deletion nothing shall be read any more.
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
            if self._is_being_deleted():  # what is destroyed is overwritten first
                raise self._deleted_error() from None
            raise DecryptionError(
                f"the file {name!r} of revision {self.number} of {self.actor!r} is damaged "
                f"({error}): adapt or import the actor again"
            ) from None

    def _is_being_deleted(self) -> bool:
        """Whether somebody deletes it right now, or has."""
        # A deletion's note is there before the key goes, until after the rows have gone.
        row, backend = self._row, self._backend
        deleting = backend.storage.is_deletion_pending(row.folder)
        return deleting or not backend.index.files(row.folder, row.number)

    def _deleted_error(self) -> ActorNotFoundError:
        return ActorNotFoundError(
            f"revision {self.number} of {self.actor!r} was deleted meanwhile: adapt or import the "
            "actor again"
        )
