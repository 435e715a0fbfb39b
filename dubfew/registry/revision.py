"""One stored state of one actor."""

from __future__ import annotations

import builtins
import hashlib
import json
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from dubfew.errors import ActorNotFoundError, RegistryError
from dubfew.registry.index import FileRow, RevisionRow
from dubfew.registry.storage import Storage

# Stored like every other file of a revision, so that what protects those protects it.
CONFIG_NAME = "config.json"


@dataclass(frozen=True)
class Revision:
    """One stored state of one actor. Content goes through :meth:`read` and nowhere else.

    Attributes:
        actor: the actor's id.
        number: counts from 1 for every actor.
        created: when it was stored, ISO 8601 in UTC.
        method: how it was learned ("lora", "texture", "full"); empty when unknown.
        bytes: size of all files.
    """

    actor: str
    number: int
    created: str
    method: str
    bytes: int
    _row: RevisionRow = field(repr=False)
    _storage: Storage = field(repr=False, compare=False)

    @classmethod
    def of_row(cls, row: RevisionRow, storage: Storage) -> Revision:
        """The revision that the index describes in ``row``."""
        size = sum(file.bytes for file in row.files)
        return cls(row.actor, row.number, row.created, row.method, size, row, storage)

    def names(self) -> list[str]:
        """Names of the stored files, without the config, sorted."""
        return [file.name for file in self.files()]

    def files(self) -> list[FileRow]:
        """Name, size and SHA-256 of the stored files, without the config."""
        return [file for file in self._row.files if file.name != CONFIG_NAME]

    @cached_property
    def config(self) -> dict[str, Any]:
        """What :meth:`Registry.create` was given as ``config``.

        Raises:
            RegistryError: the stored config is damaged.
        """
        config = json.loads(self._checked(CONFIG_NAME))
        assert isinstance(config, dict)  # create() stored a mapping, and the hash was right
        return config

    def read(self, name: str) -> builtins.bytes:
        """A stored file's content.

        Raises:
            RegistryError: there is no such file, or it is not what was stored.
        """
        if name not in self.names():
            raise RegistryError(
                f"revision {self.number} of {self.actor!r} has no file {name!r}, "
                f"only {', '.join(self.names()) or 'its config'}: adapt the actor again"
            )
        return self._checked(name)

    def _checked(self, name: str) -> builtins.bytes:
        expected = next(file for file in self._row.files if file.name == name)
        try:
            content = self._storage.read(self._row.folder, self.number, name)
        except FileNotFoundError:
            raise ActorNotFoundError(
                f"the file {name!r} of revision {self.number} of {self.actor!r} is gone: the actor "
                "was deleted meanwhile or the registry is damaged; adapt or import the actor again"
            ) from None
        found = hashlib.sha256(content).hexdigest()
        if found != expected.sha256:
            raise RegistryError(
                f"the file {name!r} of revision {self.number} of {self.actor!r} is damaged "
                f"({len(content)} bytes with SHA-256 {found[:12]}..., stored were {expected.bytes} "
                f"with {expected.sha256[:12]}...): adapt or import the actor again"
            )
        return content
