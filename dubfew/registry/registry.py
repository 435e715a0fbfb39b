"""Actors on disk: create, open, list, delete, export, import."""

from __future__ import annotations

import builtins
import hashlib
import json
import os
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from platformdirs import user_data_dir

from dubfew.errors import ActorNotFoundError, RegistryError
from dubfew.files import check_output, write_atomic
from dubfew.registry import archive
from dubfew.registry.index import FileRow, Index, RevisionRow
from dubfew.registry.names import actor_id, check_file_names
from dubfew.registry.revision import CONFIG_NAME, Revision
from dubfew.registry.storage import Storage

MAX_METHOD_LENGTH = 40


def default_home() -> Path:
    """``DUBFEW_HOME``, or the system's folder for a user's data."""
    named = os.environ.get("DUBFEW_HOME")
    return Path(named).expanduser() if named else Path(user_data_dir("dubfew", appauthor=False))


class Registry:
    """The actors under one home folder. Safe for several processes at once.

    Nothing is created before the first actor is stored. A process may be killed at any
    moment: what it was storing is not there, what it was deleting is deleted at the next call.
    """

    def __init__(self, home: Path | None = None) -> None:
        self.home = (Path(home) if home is not None else default_home()).absolute()
        self._index = Index(self.home / "registry.sqlite")
        self._storage = Storage(self.home)

    def create(self, actor: str, config: Mapping[str, Any], files: Mapping[str, bytes]) -> Revision:
        """Store a new revision of an actor, wholly or not at all.

        Args:
            actor: up to 100 printable characters, no path separators.
            config: anything JSON can say; ``config["method"]`` becomes the revision's method.
            files: content by name (letters, digits, ".", "_", "-").

        Raises:
            RegistryError: a name or the config cannot be stored.
        """
        actor = actor_id(actor)
        method = _method(config)
        if CONFIG_NAME in files:
            raise RegistryError(f"{CONFIG_NAME!r} is kept for the config: rename that file")
        stored = {CONFIG_NAME: _json_bytes(config), **files}
        check_file_names([*stored])
        rows = tuple(
            FileRow(name, len(content), hashlib.sha256(content).hexdigest())
            for name, content in sorted(stored.items())
        )
        with self._writing():
            earlier = self._index.revisions(actor)
            row = RevisionRow(
                actor=actor,
                folder=earlier[-1].folder if earlier else secrets.token_hex(16),
                number=earlier[-1].number + 1 if earlier else 1,
                created=datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"),
                method=method,
                files=rows,
            )
            # Files first: a row must never promise what is not there. Files without a row
            # are swept by the next writer.
            self._storage.write(row.folder, row.number, stored)
            self._index.insert(row)
        return Revision.of_row(row, self._storage)

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
        actor = actor_id(actor)
        rows = self._index.revisions(actor) if self._ready() else []
        if not rows:
            raise self._not_found(actor)
        return [Revision.of_row(row, self._storage) for row in rows]

    def list(self) -> builtins.list[Revision]:
        """The newest revision of every actor, by id."""
        rows = self._index.revisions() if self._ready() else []
        newest = {row.actor: row for row in rows}  # rows come by number, so the last one wins
        return [Revision.of_row(row, self._storage) for row in newest.values()]

    def delete(self, actor: str) -> None:
        """Remove an actor: every revision, and every byte of the id, under the home folder.

        A deletion that was interrupted is finished by the next call of any method.

        Raises:
            ActorNotFoundError: no such actor.
            RegistryError: the actor is gone, but another process keeps traces alive.
        """
        actor = actor_id(actor)
        if not self._ready():
            raise self._not_found(actor)
        with self._writing():
            rows = self._index.revisions(actor)
            if not rows:
                raise self._not_found(actor)
            self._storage.begin_deletion(rows[0].folder)
            self._finish_deletions()

    def export(self, actor: str, file: Path, revision: int | None = None) -> Revision:
        """Write one revision, by default the newest, into one file and return it.

        Raises:
            ActorNotFoundError: no such actor or revision.
            RegistryError: a stored file is damaged.
            DubfewError: ``file`` cannot be written.
        """
        chosen = self.open(actor, revision)
        check_output(Path(file))
        content = {name: chosen.read(name) for name in chosen.names()}
        write_atomic(Path(file), archive.pack(chosen, content))
        return chosen

    def import_file(self, file: Path, actor: str | None = None) -> Revision:
        """Store what :meth:`export` wrote, as the next revision of its actor or of ``actor``.

        Everything is checked before anything is stored.

        Raises:
            RegistryError: the file cannot be read or is not a sound export.
        """
        try:
            data = Path(file).read_bytes()
        except OSError as error:
            raise RegistryError(
                f"{file} cannot be read ({error.strerror}): name a file from 'actors export'"
            ) from error
        content = archive.unpack(data, str(file))
        return self.create(content.actor if actor is None else actor, content.config, content.files)

    def _ready(self) -> bool:
        """Whether there is an index to read; finishes what another process left undone."""
        begun = self._storage.begun_deletions()
        if not (begun or self._index.exists()):
            return False
        if begun or not self._index.is_current():
            with self._writing():
                pass
        return True

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """The only writer, in a registry without leftovers."""
        with self._storage.lock():
            self._index.prepare()
            self._finish_deletions()
            known: dict[str, set[int]] = {}
            for row in self._index.revisions():
                known.setdefault(row.folder, set()).add(row.number)
            self._storage.sweep(known)
            yield

    def _finish_deletions(self) -> None:
        """Rows first, so that nobody finds the actor half deleted; the note goes last."""
        begun = self._storage.begun_deletions()
        for folder in begun:
            self._index.delete(folder)
            self._storage.remove(folder)
        if begun:
            self._index.scrub()
        for folder in begun:
            self._storage.end_deletion(folder)

    def _not_found(self, actor: str) -> ActorNotFoundError:
        return ActorNotFoundError(
            f"no actor {actor!r} in {self.home}: 'dubfew actors list' shows who is there, "
            "'dubfew adapt' adds one"
        )


def _method(config: Mapping[str, Any]) -> str:
    method = config.get("method", "")
    if not (isinstance(method, str) and len(method) <= MAX_METHOD_LENGTH and method.isprintable()):
        raise RegistryError(
            f"the config's method is {ascii(method)[:60]}: expected a short printable text"
        )
    return method


def _json_bytes(config: Mapping[str, Any]) -> bytes:
    try:
        return json.dumps(dict(config), allow_nan=False, sort_keys=True, indent=1).encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise RegistryError(
            f"the config cannot be stored as JSON ({error}): use plain numbers, texts, "
            "lists and dictionaries"
        ) from error
