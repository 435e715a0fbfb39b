"""The index: which actors, revisions and files there are (SQLite)."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from dubfew.errors import RegistryError

# Seconds that a statement waits for another process's transaction; those take milliseconds.
BUSY_SECONDS = 30.0

# Entry i brings a database from user_version i to i + 1. Released entries never change.
MIGRATIONS = (
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
)


@dataclass(frozen=True)
class FileRow:
    """What the index knows of one stored file."""

    name: str
    bytes: int
    sha256: str


@dataclass(frozen=True)
class RevisionRow:
    """What the index knows of one revision. ``created`` is ISO 8601, UTC."""

    actor: str
    folder: str
    number: int
    created: str
    method: str
    files: tuple[FileRow, ...]


class Index:
    """One SQLite file. Every call opens it, does one transaction and closes it again."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def exists(self) -> bool:
        """Whether there is a file."""
        return self._path.exists()

    def is_current(self) -> bool:
        """Whether the file is in the newest format, so that the calls below work.

        Raises:
            RegistryError: a newer dubfew wrote it.
        """
        with self._connection() as db:
            return self._version(db) == len(MIGRATIONS)

    def prepare(self) -> None:
        """Create the file or bring it to the newest format. Call with the registry's lock held:
        SQLite cannot wait for another process while it switches to a write-ahead log."""
        with self._connection() as db:
            db.execute("PRAGMA journal_mode = WAL")
            version = self._version(db)
            db.execute("BEGIN IMMEDIATE")
            for step in range(version, len(MIGRATIONS)):
                for statement in MIGRATIONS[step].split(";"):
                    db.execute(statement)
                db.execute(f"PRAGMA user_version = {step + 1}")
            db.execute("COMMIT")

    def revisions(self, actor: str | None = None) -> list[RevisionRow]:
        """All revisions, or one actor's, by actor and number."""
        with self._transaction("DEFERRED") as db:
            found = db.execute(
                "SELECT r.id, a.name, a.folder, r.number, r.created, r.method"
                " FROM revisions r JOIN actors a ON a.id = r.actor_id"
                " WHERE :actor IS NULL OR a.name = :actor ORDER BY a.name, r.number",
                {"actor": actor},
            ).fetchall()
            files: dict[int, list[FileRow]] = {key: [] for key, *_ in found}
            for key, *file in db.execute(
                "SELECT f.revision_id, f.name, f.bytes, f.sha256 FROM files f"
                " JOIN revisions r ON r.id = f.revision_id JOIN actors a ON a.id = r.actor_id"
                " WHERE :actor IS NULL OR a.name = :actor ORDER BY f.name",
                {"actor": actor},
            ):
                files[key].append(FileRow(*file))
        return [
            RevisionRow(name, folder, number, created, method, tuple(files[key]))
            for key, name, folder, number, created, method in found
        ]

    def insert(self, row: RevisionRow) -> None:
        """Add a revision, and its actor when new, in one transaction."""
        with self._transaction("IMMEDIATE") as db:
            db.execute(
                "INSERT INTO actors (name, folder) VALUES (?, ?) ON CONFLICT (name) DO NOTHING",
                (row.actor, row.folder),
            )
            key = db.execute(
                "INSERT INTO revisions (actor_id, number, created, method)"
                " SELECT id, ?, ?, ? FROM actors WHERE name = ?",
                (row.number, row.created, row.method, row.actor),
            ).lastrowid
            db.executemany(
                "INSERT INTO files (revision_id, name, bytes, sha256) VALUES (?, ?, ?, ?)",
                [(key, file.name, file.bytes, file.sha256) for file in row.files],
            )

    def delete(self, folder: str) -> None:
        """Remove all rows of the actor whose folder this is."""
        with self._transaction("IMMEDIATE") as db:
            db.execute("DELETE FROM actors WHERE folder = ?", (folder,))

    def scrub(self) -> None:
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

    def _version(self, db: sqlite3.Connection) -> int:
        (version,) = db.execute("PRAGMA user_version").fetchone()
        if version > len(MIGRATIONS):
            raise RegistryError(
                f"the index {self._path} has format {version}, newer than this dubfew reads "
                f"({len(MIGRATIONS)}): update dubfew"
            )
        return int(version)
