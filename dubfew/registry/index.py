"""The index: which actors, revisions and files there are (SQLite).

It is not encrypted, so that listing needs no key: ids, dates, methods and sizes can be read by
who can read the folder; of contents it has hashes of ciphertext and marks (tombstones.py) only.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from dubfew.errors import RegistryError

# Seconds that a statement waits for another process's transaction; those take milliseconds.
BUSY_SECONDS = 30.0

# Entry i brings a database from user_version i to i + 1. Released entries never change.
INDEX_MIGRATIONS = (
    """
    CREATE TABLE actors (
        id INTEGER PRIMARY KEY,
        name TEXT NOT NULL UNIQUE,
        folder TEXT NOT NULL UNIQUE
    );
    CREATE TABLE revisions (
        id INTEGER PRIMARY KEY,
        actor_id INTEGER NOT NULL REFERENCES actors(id) ON DELETE CASCADE,
        number INTEGER NOT NULL,
        created TEXT NOT NULL,
        method TEXT NOT NULL,
        UNIQUE (actor_id, number)
    );
    CREATE TABLE files (
        revision_id INTEGER NOT NULL REFERENCES revisions(id) ON DELETE CASCADE,
        name TEXT NOT NULL,
        bytes INTEGER NOT NULL,
        sha256 TEXT NOT NULL,
        PRIMARY KEY (revision_id, name)
    ) WITHOUT ROWID;
    """,
    # From here on files are encrypted: "bytes" stays the size of the content, "sha256" becomes
    # that of the encrypted file. What a listing shows stands in the revision's own row. An empty
    # mark says that the revision's files are still plain.
    """
    CREATE TABLE registry (id TEXT NOT NULL, salt TEXT NOT NULL);
    INSERT INTO registry VALUES (lower(hex(randomblob(16))), lower(hex(randomblob(16))));
    CREATE TABLE tombstones (mark TEXT PRIMARY KEY, erased TEXT NOT NULL) WITHOUT ROWID;
    ALTER TABLE revisions ADD COLUMN bytes INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE revisions ADD COLUMN stored INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE revisions ADD COLUMN mark TEXT NOT NULL DEFAULT ''
    """,
    # Nothing in the index: before this step, migration.py encrypts the files.
    "",
    # Actors that nobody may render, see oversight.py. The reason is sealed with the actor's key.
    """
    CREATE TABLE suspensions (
        actor_id INTEGER PRIMARY KEY REFERENCES actors(id) ON DELETE CASCADE,
        since TEXT NOT NULL,
        reason BLOB NOT NULL
    )
    """,
)
ENCRYPTION_STEP = 2  # the step above


@dataclass(frozen=True)
class FileRow:
    """What the index knows of one stored file.

    Attributes:
        name: within its revision.
        bytes: size of the content.
        sha256: of the file as it lies on disk, encrypted.
    """

    name: str
    bytes: int
    sha256: str


class RevisionRow(NamedTuple):
    """What the index knows of one revision. A tuple, because listings make ten thousands.

    Attributes:
        created: ISO 8601, UTC.
        content_bytes: size of all files' content.
        stored_bytes: size of all files on disk, encrypted.
        mark: recognises the content, see tombstones.py.
    """

    actor: str
    folder: str
    number: int
    created: str
    method: str
    content_bytes: int
    stored_bytes: int
    mark: str


@dataclass(frozen=True)
class RegistryIdentity:
    """What tells one registry from others. ``salt`` goes into all marks, see tombstones.py."""

    id: str
    salt: str


_REVISION_COLUMNS = "a.name, a.folder, r.number, r.created, r.method, r.bytes, r.stored, r.mark"
_SELECT_REVISIONS = (
    f"SELECT {_REVISION_COLUMNS} FROM revisions r JOIN actors a ON a.id = r.actor_id"
)


class RegistryIndex:
    """One SQLite file. Every call opens it, does one transaction and closes it again."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def exists(self) -> bool:
        """Whether there is a file."""
        return self._path.exists()

    def load_registry_identity(self) -> RegistryIdentity | None:
        """Whose index this is; None while it is in an older format, so that the calls below do
        not work yet.

        Raises:
            RegistryError: a newer dubfew wrote it.
        """
        with self._connection() as db:
            if self._format_version(db) < len(INDEX_MIGRATIONS):
                return None
            return RegistryIdentity(*db.execute("SELECT id, salt FROM registry").fetchone())

    def migrate(self, encrypt_files: Callable[[RegistryIdentity], None]) -> RegistryIdentity:
        """Create the file or bring it to the newest format. Call with the registry's lock held:
        SQLite cannot wait for another process while it switches to a write-ahead log.

        Args:
            encrypt_files: encrypts the files of a registry that has plain ones. It may be killed,
                and
                is then called again.
        """
        with self._connection() as db:
            db.execute("PRAGMA journal_mode = WAL")
            version = self._format_version(db)
            for step in range(version, len(INDEX_MIGRATIONS)):
                if step == ENCRYPTION_STEP:
                    encrypt_files(
                        RegistryIdentity(*db.execute("SELECT id, salt FROM registry").fetchone())
                    )
                db.execute("BEGIN IMMEDIATE")
                for statement in INDEX_MIGRATIONS[step].split(";"):
                    db.execute(statement)
                db.execute(f"PRAGMA user_version = {step + 1}")
                db.execute("COMMIT")
            return RegistryIdentity(*db.execute("SELECT id, salt FROM registry").fetchone())

    def revisions(self, actor: str | None = None) -> list[RevisionRow]:
        """All revisions, or one actor's, by actor and number."""
        return self._query_revisions(
            f"{_SELECT_REVISIONS} WHERE :actor IS NULL OR a.name = :actor ORDER BY a.name, "
            "r.number",
            {"actor": actor},
        )

    def newest_revisions(self) -> list[RevisionRow]:
        """The newest revision of every actor, by actor."""
        return self._query_revisions(
            f"{_SELECT_REVISIONS} WHERE r.number ="
            " (SELECT max(number) FROM revisions WHERE actor_id = a.id) ORDER BY a.name"
        )

    def files(self, folder: str, number: int) -> list[FileRow]:
        """The files of one revision, by name; none when there is no such revision."""
        with self._transaction("DEFERRED") as db:
            found = db.execute(
                "SELECT f.name, f.bytes, f.sha256 FROM files f JOIN revisions r"
                " ON r.id = f.revision_id JOIN actors a ON a.id = r.actor_id"
                " WHERE a.folder = ? AND r.number = ? ORDER BY f.name",
                (folder, number),
            ).fetchall()
        return [FileRow(*row) for row in found]

    def actors_by_folder(self) -> dict[str, str]:
        """The id of every actor by folder."""
        with self._transaction("DEFERRED") as db:
            return dict(db.execute("SELECT folder, name FROM actors").fetchall())

    def count_totals(self) -> tuple[int, int, int, int]:
        """Numbers of actors, revisions and files, and bytes on disk."""
        with self._transaction("DEFERRED") as db:
            found: tuple[int, int, int, int] = db.execute(
                "SELECT (SELECT count(*) FROM actors), count(*), (SELECT count(*) FROM files),"
                " coalesce(sum(stored), 0) FROM revisions"
            ).fetchone()
        return found

    def revision_numbers(self) -> dict[str, set[int]]:
        """The revision numbers of every actor, by folder."""
        known: dict[str, set[int]] = {}
        with self._transaction("DEFERRED") as db:
            for folder, number in db.execute(
                "SELECT a.folder, r.number FROM actors a LEFT JOIN revisions r ON a.id = r.actor_id"
            ):
                numbers = known.setdefault(folder, set())
                if number is not None:
                    numbers.add(number)
        return known

    def insert(
        self, row: RevisionRow, files: Sequence[FileRow], lifted_tombstone: str | None = None
    ) -> None:
        """Add a revision, and its actor when new, and remove the tombstone ``lifted_tombstone``."""
        with self._transaction("IMMEDIATE") as db:
            db.execute(
                "INSERT INTO actors (name, folder) VALUES (?, ?) ON CONFLICT (name) DO NOTHING",
                (row.actor, row.folder),
            )
            key = db.execute(
                "INSERT INTO revisions (actor_id, number, created, method, bytes, stored, mark)"
                " SELECT id, ?, ?, ?, ?, ?, ? FROM actors WHERE name = ?",
                (
                    row.number,
                    row.created,
                    row.method,
                    row.content_bytes,
                    row.stored_bytes,
                    row.mark,
                    row.actor,
                ),
            ).lastrowid
            db.executemany(
                "INSERT INTO files (revision_id, name, bytes, sha256) VALUES (?, ?, ?, ?)",
                [(key, file.name, file.bytes, file.sha256) for file in files],
            )
            db.execute("DELETE FROM tombstones WHERE mark = ?", (lifted_tombstone,))

    def mark_encrypted(self, row: RevisionRow, files: Sequence[FileRow]) -> None:
        """Say that a revision's files are encrypted now, and how they lie on disk."""
        with self._transaction("IMMEDIATE") as db:
            (key,) = db.execute(
                "UPDATE revisions SET bytes = ?, stored = ?, mark = ? WHERE number = ?"
                " AND actor_id = (SELECT id FROM actors WHERE folder = ?) RETURNING id",
                (row.content_bytes, row.stored_bytes, row.mark, row.number, row.folder),
            ).fetchone()
            db.executemany(
                "UPDATE files SET sha256 = ? WHERE revision_id = ? AND name = ?",
                [(file.sha256, key, file.name) for file in files],
            )

    def delete_revision_rows(self, folder: str, numbers: Sequence[int]) -> None:
        """Remove rows of some of an actor's revisions."""
        with self._transaction("IMMEDIATE") as db:
            db.executemany(
                "DELETE FROM revisions WHERE number = ?"
                " AND actor_id = (SELECT id FROM actors WHERE folder = ?)",
                [(number, folder) for number in numbers],
            )

    def delete_actor_rows(self, folder: str) -> None:
        """Remove all rows of the actor whose folder this is."""
        with self._transaction("IMMEDIATE") as db:
            db.execute("DELETE FROM actors WHERE folder = ?", (folder,))

    def add_suspension(self, folder: str, since: str, reason: bytes) -> None:
        """Note that an actor is suspended; replaces an earlier note."""
        with self._transaction("IMMEDIATE") as db:
            db.execute(
                "INSERT OR REPLACE INTO suspensions SELECT id, ?, ? FROM actors WHERE folder = ?",
                (since, reason, folder),
            )

    def remove_suspension(self, folder: str) -> None:
        """Remove the note of a suspension."""
        with self._transaction("IMMEDIATE") as db:
            db.execute(
                "DELETE FROM suspensions WHERE actor_id = (SELECT id FROM actors WHERE folder = ?)",
                (folder,),
            )

    def find_suspension(self, folder: str) -> tuple[str, bytes] | None:
        """Since when an actor is suspended, and the sealed reason; None when it is not."""
        with self._transaction("DEFERRED") as db:
            found: tuple[str, bytes] | None = db.execute(
                "SELECT s.since, s.reason FROM suspensions s JOIN actors a ON a.id = s.actor_id"
                " WHERE a.folder = ?",
                (folder,),
            ).fetchone()
        return found

    def tombstones(self) -> set[str]:
        """The marks of what was deleted."""
        with self._transaction("DEFERRED") as db:
            return {mark for (mark,) in db.execute("SELECT mark FROM tombstones")}

    def add_tombstones(self, marks: Sequence[str], erased: str) -> None:
        """Add tombstones."""
        with self._transaction("IMMEDIATE") as db:
            db.executemany(
                "INSERT INTO tombstones VALUES (?, ?) ON CONFLICT (mark) DO NOTHING",
                [(mark, erased) for mark in marks],
            )

    def purge_deleted_rows(self) -> None:
        """Make sure that deleted rows are in no page of any file.

        ``secure_delete`` has overwritten the freed cells, VACUUM rebuilds the file without
        free pages, and the checkpoint empties the write-ahead log with its copies of old pages.

        Raises:
            RegistryError: another process has been reading the log for half a minute.
        """
        with self._connection() as db:
            db.execute("VACUUM")
            busy, *_ = db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        if busy:
            raise RegistryError(
                f"the actor is deleted, but another process keeps reading {self._path}, so traces "
                "stay in its log: end that process; the next dubfew command finishes the deletion"
            )

    def _query_revisions(
        self, query: str, values: Mapping[str, object] | None = None
    ) -> list[RevisionRow]:
        with self._transaction("DEFERRED") as db:
            return [*map(RevisionRow._make, db.execute(query, values or {}))]

    @contextmanager
    def _transaction(self, kind: str) -> Iterator[sqlite3.Connection]:
        """DEFERRED for reading; IMMEDIATE waits for another writer at once, not in the middle."""
        with self._connection() as db:
            db.execute(f"BEGIN {kind}")
            yield db  # closing the connection after an exception rolls back
            db.execute("COMMIT")

    @contextmanager
    def _connection(self) -> Iterator[sqlite3.Connection]:
        try:
            with closing(
                sqlite3.connect(self._path, timeout=BUSY_SECONDS, isolation_level=None)
            ) as db:
                db.execute("PRAGMA synchronous = FULL")
                db.execute("PRAGMA foreign_keys = ON")
                db.execute("PRAGMA secure_delete = ON")
                # VACUUM's copy of the database must not pass through the system's /tmp.
                db.execute("PRAGMA temp_store = MEMORY")
                yield db
        except sqlite3.Error as error:
            raise RegistryError(
                f"the index {self._path} cannot be used ({error}): check its permissions and the "
                "free disk space, or name another folder in DUBFEW_HOME"
            ) from error

    def _format_version(self, db: sqlite3.Connection) -> int:
        (version,) = db.execute("PRAGMA user_version").fetchone()
        if version > len(INDEX_MIGRATIONS):
            raise RegistryError(
                f"the index {self._path} has format {version}, newer than this dubfew reads "
                f"({len(INDEX_MIGRATIONS)}): update dubfew"
            )
        return int(version)
