"""The index of actors, revisions and files, an SQLite database.

The index is not encrypted, so that listing needs no key: anybody who can read the folder can read
ids, dates, methods and sizes. It holds nothing of the files but hashes of ciphertext and keyed
hashes of content (tombstones.py).
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from dubfew.errors import RegistryError

# Waiting time for another process's transaction, seconds. Transactions take milliseconds; only
# emptying the write-ahead log waits for all readers.
BUSY_SECONDS = 30.0

# SQL that brings a database from user_version i to i + 1, for every i. Released entries never
# change; a new format is a new entry.
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
    # that of the encrypted file. A listing needs the revision's own row only. An empty mark means
    # that the revision's files are not encrypted yet.
    """
    CREATE TABLE registry (id TEXT NOT NULL, salt TEXT NOT NULL);
    INSERT INTO registry VALUES (lower(hex(randomblob(16))), lower(hex(randomblob(16))));
    CREATE TABLE tombstones (mark TEXT PRIMARY KEY, erased TEXT NOT NULL) WITHOUT ROWID;
    ALTER TABLE revisions ADD COLUMN bytes INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE revisions ADD COLUMN stored INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE revisions ADD COLUMN mark TEXT NOT NULL DEFAULT ''
    """,
    # No change of the index: before this step, migration.py encrypts the files.
    "",
    # Suspended actors, see governance.py. The reason is encrypted with the actor's key.
    """
    CREATE TABLE suspensions (
        actor_id INTEGER PRIMARY KEY REFERENCES actors(id) ON DELETE CASCADE,
        since TEXT NOT NULL,
        reason BLOB NOT NULL
    )
    """,
    # The revision that is used where none is named; NULL for the newest. Which revisions of an
    # actor show the same person: those with the same number. Keyed hashes of the ids that an actor
    # had before, so that a deletion leaves tombstones of all of them.
    """
    ALTER TABLE revisions ADD COLUMN person INTEGER NOT NULL DEFAULT 1;
    ALTER TABLE actors ADD COLUMN default_number INTEGER;
    CREATE TABLE former_ids (
        actor_id INTEGER NOT NULL REFERENCES actors(id) ON DELETE CASCADE,
        mark TEXT NOT NULL,
        PRIMARY KEY (actor_id, mark)
    ) WITHOUT ROWID
    """,
)
# Number of the entry above before which the files are encrypted.
ENCRYPTION_STEP = 2


@dataclass(frozen=True)
class FileRow:
    """Index entry of one stored file.

    Attributes:
        name: name within its revision.
        bytes: size of the content, bytes.
        sha256: SHA-256 of the encrypted file on disk, hexadecimal.
    """

    name: str
    bytes: int
    sha256: str


class RevisionRow(NamedTuple):
    """Index entry of one revision. A tuple, because a listing makes tens of thousands.

    Attributes:
        actor: the actor's id.
        folder: name of the actor's folder.
        number: number of the revision, from 1 for every actor.
        created: when it was stored, ISO 8601 in UTC.
        method: adaptation method; empty if unknown.
        content_bytes: size of the content of all files, bytes.
        stored_bytes: size of all encrypted files on disk, bytes.
        mark: keyed hash of the content, see tombstones.py; empty before encryption.
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
    """Random values that belong to one registry.

    Attributes:
        id: name of the registry's folder of keys.
        salt: salt of all marks, see tombstones.py.
    """

    id: str
    salt: str


# Columns in the order of RevisionRow's fields.
_REVISION_COLUMNS = "a.name, a.folder, r.number, r.created, r.method, r.bytes, r.stored, r.mark"
_SELECT_REVISIONS = (
    f"SELECT {_REVISION_COLUMNS} FROM revisions r JOIN actors a ON a.id = r.actor_id"
)
# The number of the default revision of the actor `a`.
_DEFAULT_NUMBER = (
    "coalesce((SELECT number FROM revisions WHERE actor_id = a.id AND number = a.default_number),"
    " (SELECT max(number) FROM revisions WHERE actor_id = a.id))"
)


class RegistryIndex:
    """The index in one SQLite file.

    Every call opens the file, runs one transaction and closes it again.

    Args:
        path: the file, which need not exist yet.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def exists(self) -> bool:
        """Tell whether the file exists."""
        return self._path.exists()

    def load_registry_identity(self) -> RegistryIdentity | None:
        """Read the identity of the registry.

        Returns:
            The identity, or None while the index has an older format. Call :meth:`migrate` then;
            the other methods do not work yet.

        Raises:
            RegistryError: A newer dubfew wrote the index.
        """
        with self._connection() as db:
            if self._format_version(db) < len(INDEX_MIGRATIONS):
                return None
            return RegistryIdentity(*db.execute("SELECT id, salt FROM registry").fetchone())

    def migrate(self, encrypt_files: Callable[[RegistryIdentity], None]) -> RegistryIdentity:
        """Create the file or bring it to the newest format.

        Call with the registry's lock held: SQLite cannot wait for another process while it
        switches to a write-ahead log.

        Args:
            encrypt_files: function that encrypts the files of a registry from before encryption.
                If it is killed, the next migration calls it again.

        Returns:
            The identity of the registry.

        Raises:
            RegistryError: A newer dubfew wrote the index, or it cannot be written.
        """
        with self._connection() as db:
            # A write-ahead log lets others read while one process writes.
            db.execute("PRAGMA journal_mode = WAL")
            version = self._format_version(db)
            for step in range(version, len(INDEX_MIGRATIONS)):
                # Files are encrypted outside of the transaction; the step can be repeated.
                if step == ENCRYPTION_STEP:
                    encrypt_files(
                        RegistryIdentity(*db.execute("SELECT id, salt FROM registry").fetchone())
                    )
                db.execute("BEGIN IMMEDIATE")
                for statement in INDEX_MIGRATIONS[step].split(";"):
                    db.execute(statement)
                # In the same transaction as the change, so that no step is done twice.
                db.execute(f"PRAGMA user_version = {step + 1}")
                db.execute("COMMIT")
            return RegistryIdentity(*db.execute("SELECT id, salt FROM registry").fetchone())

    def revisions(self, actor: str | None = None) -> list[RevisionRow]:
        """Return all revisions or those of one actor, by actor and number."""
        return self._query_revisions(
            f"{_SELECT_REVISIONS} WHERE :actor IS NULL OR a.name = :actor ORDER BY a.name, "
            "r.number",
            {"actor": actor},
        )

    def default_revisions(self) -> list[RevisionRow]:
        """Return the default revision of every actor, by actor."""
        return self._query_revisions(
            f"{_SELECT_REVISIONS} WHERE r.number = {_DEFAULT_NUMBER} ORDER BY a.name"
        )

    def default_number(self, folder: str) -> int | None:
        """Return the number of an actor's default revision, or None for an unknown actor.

        Args:
            folder: name of the actor's folder.
        """
        with self._transaction("DEFERRED") as db:
            found = db.execute(
                f"SELECT {_DEFAULT_NUMBER} FROM actors a WHERE a.folder = ?", (folder,)
            ).fetchone()
        return None if found is None else found[0]

    def set_default(self, folder: str, number: int) -> None:
        """Make a revision the default; the newest one stays the default when newer ones come.

        Args:
            folder: name of the actor's folder.
            number: number of the revision.
        """
        with self._transaction("IMMEDIATE") as db:
            # The newest needs no number: then every newer revision becomes the default.
            db.execute(
                "UPDATE actors AS a SET default_number = nullif(:number, (SELECT max(number)"
                " FROM revisions WHERE actor_id = a.id)) WHERE folder = :folder",
                {"number": number, "folder": folder},
            )

    def same_person(self, folder: str, number: int) -> set[int]:
        """Return the numbers of all revisions that show the same person as one revision.

        Args:
            folder: name of the actor's folder.
            number: number of the revision.
        """
        with self._transaction("DEFERRED") as db:
            found = db.execute(
                "SELECT r.number FROM revisions r JOIN revisions own ON own.actor_id = r.actor_id"
                " AND own.person = r.person JOIN actors a ON a.id = r.actor_id"
                " WHERE a.folder = ? AND own.number = ?",
                (folder, number),
            ).fetchall()
        return {number for (number,) in found}

    def rename(
        self, folder: str, name: str, former_mark: str, lifted_tombstone: str | None
    ) -> None:
        """Give an actor another id.

        Args:
            folder: name of the actor's folder.
            name: the new id.
            former_mark: keyed hash of the old one, see tombstones.py.
            lifted_tombstone: tombstone to remove in the same transaction, or None.
        """
        with self._transaction("IMMEDIATE") as db:
            db.execute(
                "INSERT OR IGNORE INTO former_ids SELECT id, ? FROM actors WHERE folder = ?",
                (former_mark, folder),
            )
            db.execute("UPDATE actors SET name = ? WHERE folder = ?", (name, folder))
            db.execute("DELETE FROM tombstones WHERE mark = ?", (lifted_tombstone,))

    def former_marks(self, folder: str) -> list[str]:
        """Return the keyed hashes of the ids that an actor had before, sorted.

        Args:
            folder: name of the actor's folder.
        """
        with self._transaction("DEFERRED") as db:
            found = db.execute(
                "SELECT f.mark FROM former_ids f JOIN actors a ON a.id = f.actor_id"
                " WHERE a.folder = ? ORDER BY f.mark",
                (folder,),
            ).fetchall()
        return [mark for (mark,) in found]

    def files(self, folder: str, number: int) -> list[FileRow]:
        """Return the files of one revision by name.

        Args:
            folder: name of the actor's folder.
            number: number of the revision.

        Returns:
            The files, empty where the revision does not exist.
        """
        with self._transaction("DEFERRED") as db:
            found = db.execute(
                "SELECT f.name, f.bytes, f.sha256 FROM files f JOIN revisions r"
                " ON r.id = f.revision_id JOIN actors a ON a.id = r.actor_id"
                " WHERE a.folder = ? AND r.number = ? ORDER BY f.name",
                (folder, number),
            ).fetchall()
        return [FileRow(*row) for row in found]

    def actors_by_folder(self) -> dict[str, str]:
        """Return the id of every actor by the name of the folder."""
        with self._transaction("DEFERRED") as db:
            return dict(db.execute("SELECT folder, name FROM actors").fetchall())

    def count_totals(self) -> tuple[int, int, int, int]:
        """Count actors, revisions, files and bytes on disk, in this order."""
        with self._transaction("DEFERRED") as db:
            found: tuple[int, int, int, int] = db.execute(
                "SELECT (SELECT count(*) FROM actors), count(*), (SELECT count(*) FROM files),"
                " coalesce(sum(stored), 0) FROM revisions"
            ).fetchone()
        return found

    def revision_numbers(self) -> dict[str, set[int]]:
        """Return the revision numbers of every actor by the name of the folder."""
        # LEFT JOIN: actors without revisions are included, with an empty set.
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
        self,
        row: RevisionRow,
        files: Sequence[FileRow],
        lifted_tombstone: str | None = None,
        *,
        default_number: int | None = None,
        new_person: bool = False,
    ) -> None:
        """Insert a revision, and its actor if that is new.

        Args:
            row: the revision.
            files: its files.
            lifted_tombstone: tombstone to remove in the same transaction, or None.
            default_number: revision that stays the default, or None for the new one.
            new_person: whether it shows another person than the default revision.
        """
        with self._transaction("IMMEDIATE") as db:
            db.execute(
                "INSERT INTO actors (name, folder) VALUES (?, ?) ON CONFLICT (name) DO NOTHING",
                (row.actor, row.folder),
            )
            key = db.execute(
                "INSERT INTO revisions (person, actor_id, number, created, method, bytes, stored,"
                " mark) SELECT CASE WHEN ? THEN"
                " (SELECT coalesce(max(person), 0) + 1 FROM revisions WHERE actor_id = a.id)"
                " ELSE coalesce((SELECT person FROM revisions WHERE actor_id = a.id"
                f" AND number = {_DEFAULT_NUMBER}), 1) END,"
                " a.id, ?, ?, ?, ?, ?, ? FROM actors a WHERE a.name = ?",
                (
                    new_person,
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
            db.execute(
                "UPDATE actors SET default_number = ? WHERE name = ?", (default_number, row.actor)
            )
            # The tombstone goes in the same transaction: either both happen or neither.
            db.execute("DELETE FROM tombstones WHERE mark = ?", (lifted_tombstone,))

    def mark_encrypted(self, row: RevisionRow, files: Sequence[FileRow]) -> None:
        """Update a revision whose files have been encrypted.

        Args:
            row: the revision with its new sizes and mark.
            files: its files with their new hashes.
        """
        with self._transaction("IMMEDIATE") as db:
            # "bytes" is known from before; "stored", the mark and the hashes are new.
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
        """Delete the rows of some revisions of an actor.

        Args:
            folder: name of the actor's folder.
            numbers: numbers of the revisions.
        """
        with self._transaction("IMMEDIATE") as db:
            db.executemany(
                "DELETE FROM revisions WHERE number = ?"
                " AND actor_id = (SELECT id FROM actors WHERE folder = ?)",
                [(number, folder) for number in numbers],
            )

    def delete_actor_rows(self, folder: str) -> None:
        """Delete all rows of the actor with this folder."""
        with self._transaction("IMMEDIATE") as db:
            db.execute("DELETE FROM actors WHERE folder = ?", (folder,))

    def add_suspension(self, folder: str, since: str, reason: bytes) -> None:
        """Store a suspension, in place of an earlier one of the actor.

        Args:
            folder: name of the actor's folder.
            since: when it began, ISO 8601 in UTC.
            reason: the encrypted reason.
        """
        with self._transaction("IMMEDIATE") as db:
            db.execute(
                "INSERT OR REPLACE INTO suspensions SELECT id, ?, ? FROM actors WHERE folder = ?",
                (since, reason, folder),
            )

    def remove_suspension(self, folder: str) -> None:
        """Delete the suspension of an actor."""
        with self._transaction("IMMEDIATE") as db:
            db.execute(
                "DELETE FROM suspensions WHERE actor_id = (SELECT id FROM actors WHERE folder = ?)",
                (folder,),
            )

    def find_suspension(self, folder: str) -> tuple[str, bytes] | None:
        """Return when an actor's suspension began and its encrypted reason, or None."""
        with self._transaction("DEFERRED") as db:
            found: tuple[str, bytes] | None = db.execute(
                "SELECT s.since, s.reason FROM suspensions s JOIN actors a ON a.id = s.actor_id"
                " WHERE a.folder = ?",
                (folder,),
            ).fetchone()
        return found

    def tombstones(self) -> set[str]:
        """Return all tombstones."""
        with self._transaction("DEFERRED") as db:
            return {mark for (mark,) in db.execute("SELECT mark FROM tombstones")}

    def add_tombstones(self, marks: Sequence[str], erased: str) -> None:
        """Store tombstones; those that exist stay as they are.

        Args:
            marks: keyed hashes of ids and contents.
            erased: time of the deletion, ISO 8601 in UTC.
        """
        with self._transaction("IMMEDIATE") as db:
            db.executemany(
                "INSERT INTO tombstones VALUES (?, ?) ON CONFLICT (mark) DO NOTHING",
                [(mark, erased) for mark in marks],
            )

    def purge_deleted_rows(self, done: str = "the actor is deleted") -> None:
        """Remove deleted rows from every page of the database's files.

        ``secure_delete`` has overwritten the freed cells, VACUUM rebuilds the file without
        free pages, and the checkpoint empties the write-ahead log with its copies of old pages.

        Args:
            done: what has been done, for the error.

        Raises:
            RegistryError: Another process has kept reading the log for `BUSY_SECONDS`.
        """
        with self._connection() as db:
            db.execute("VACUUM")
            busy, *_ = db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        if busy:
            raise RegistryError(
                f"{done}, but another process keeps reading {self._path}, so traces stay in its "
                "log: end that process; the next dubfew command finishes that"
            )

    def _query_revisions(
        self, query: str, values: Mapping[str, object] | None = None
    ) -> list[RevisionRow]:
        """Run a query that selects `_REVISION_COLUMNS`."""
        with self._transaction("DEFERRED") as db:
            return [*map(RevisionRow._make, db.execute(query, values or {}))]

    @contextmanager
    def _transaction(self, kind: str) -> Iterator[sqlite3.Connection]:
        """Open a transaction: DEFERRED to read, IMMEDIATE to write.

        IMMEDIATE waits for another writer at the beginning; DEFERRED would fail in the middle.
        """
        with self._connection() as db:
            db.execute(f"BEGIN {kind}")
            yield db  # closing the connection after an exception rolls back
            db.execute("COMMIT")

    @contextmanager
    def _connection(self) -> Iterator[sqlite3.Connection]:
        """Open a connection with the settings that durability and deletion need."""
        try:
            with closing(
                sqlite3.connect(self._path, timeout=BUSY_SECONDS, isolation_level=None)
            ) as db:
                # Every commit is on disk; deleted cells are overwritten.
                db.execute("PRAGMA synchronous = FULL")
                db.execute("PRAGMA foreign_keys = ON")
                db.execute("PRAGMA secure_delete = ON")
                # VACUUM copies the database; the copy must not be written to the system's /tmp.
                db.execute("PRAGMA temp_store = MEMORY")
                yield db
        except sqlite3.Error as error:
            raise RegistryError(
                f"the index {self._path} cannot be used ({error}): check its permissions and the "
                "free disk space, or name another folder in DUBFEW_HOME"
            ) from error

    def _format_version(self, db: sqlite3.Connection) -> int:
        """Return the number of migrations that the database has seen, 0 for a new one."""
        (version,) = db.execute("PRAGMA user_version").fetchone()
        # A newer format may mean something else by the same columns.
        if version > len(INDEX_MIGRATIONS):
            raise RegistryError(
                f"the index {self._path} has format {version}, newer than this dubfew reads "
                f"({len(INDEX_MIGRATIONS)}): update dubfew"
            )
        return int(version)
