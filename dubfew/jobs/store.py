"""The queue of jobs, an SQLite database and a folder of files for each job.

Servers and workers are processes of their own that may be killed at any point. A job is in one
state at any time, and only the process that holds its lease may end it. The database holds ids of
actors in the clear, as the registry's index does; what is deleted is overwritten.
"""

from __future__ import annotations

import json
import secrets
import shutil
import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from dubfew.errors import DubfewError
from dubfew.jobs.description import JobDescription
from dubfew.jobs.records import (
    ACTIVE_STATES,
    CANCELLED,
    DONE,
    EXPIRED,
    FAILED,
    JOB_STATES,
    QUEUED,
    RUNNING,
    SCHEMA,
    Job,
    JobNotFoundError,
    QuotaError,
    StoredUpload,
    actors_of,
    dump_json,
    files_of,
    read_job,
)
from dubfew.progress import Progress
from dubfew.utils.format_version import check_format_version

# Name of the folder in DUBFEW_HOME, of the database in it, and of the folders of jobs and uploads.
STORE_FOLDER_NAME = "jobs"
DATABASE_NAME = "jobs.sqlite"
FILES_FOLDER_NAME, UPLOADS_FOLDER_NAME = "files", "uploads"
# Newest version of the database that this dubfew reads and writes.
STORE_FORMAT_VERSION = 1
# Waiting time for another process's transaction, s. Transactions take milliseconds.
BUSY_SECONDS = 30.0
# How many workers may end during one job. A job that ends its process each time, for want of
# memory, must not do so for ever.
MAX_DEATHS = 3
# Random bytes of an id: nobody guesses 128 bits.
ID_BYTES = 16


class JobStore:
    """Jobs, uploads, keys and deliveries below one folder.

    Any number of processes may use a store at once.

    Args:
        folder: folder of the store; it is created, for its owner alone.

    Example:
        >>> import tempfile
        >>> store = JobStore(Path(tempfile.mkdtemp()))
        >>> job = store.add(JobDescription(kind="adapt", video=Path("mary.mp4")), owner="me")
        >>> claimed = store.claim("lease")
        >>> store.finish(claimed.id, "lease", result={"actor": "mary"})
        True
        >>> store.get(job.id).state
        'done'
    """

    def __init__(self, folder: Path) -> None:
        self.folder = Path(folder).absolute()
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._database = self.folder / DATABASE_NAME
        with self._transaction() as db:
            (version,) = db.execute("PRAGMA user_version").fetchone()
            if version == 0:
                for statement in SCHEMA.split(";"):
                    db.execute(statement)
                db.execute(f"PRAGMA user_version = {STORE_FORMAT_VERSION}")
            else:
                check_format_version(
                    version, STORE_FORMAT_VERSION, f"the queue {self._database}", DubfewError
                )

    @contextmanager
    def _connection(self) -> Iterator[sqlite3.Connection]:
        """Open the database for one use: threads and forks then share nothing."""
        db = sqlite3.connect(self._database, timeout=BUSY_SECONDS, isolation_level=None)
        try:
            db.row_factory = sqlite3.Row
            db.execute("PRAGMA journal_mode = WAL")
            db.execute("PRAGMA synchronous = FULL")  # an accepted job survives a power cut
            db.execute("PRAGMA secure_delete = ON")
            yield db
        finally:
            db.close()

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        """Change the database as a whole or not at all."""
        with self._connection() as db:
            db.execute("BEGIN IMMEDIATE")
            try:
                yield db
            except BaseException:
                db.execute("ROLLBACK")
                raise
            db.execute("COMMIT")

    def job_folder(self, job: str) -> Path:
        """Return the folder of a job's files; it is created by who writes into it."""
        return self.folder / FILES_FOLDER_NAME / job

    # Jobs.

    def add(
        self,
        description: JobDescription,
        *,
        owner: str,
        request_key: str | None = None,
        request_hash: str | None = None,
        webhook: str | None = None,
        max_active: int | None = None,
    ) -> Job:
        """Append a job to the queue.

        Args:
            description: what is to be done.
            owner: who gives it.
            request_key: key of the request; where the owner has used it before, the job of then is
                returned and none is added.
            request_hash: hash of the request, to tell a repetition from another request.
            webhook: URL that is told about the end.
            max_active: jobs that the owner may have waiting and running.

        Raises:
            QuotaError: The owner has as many.
        """
        job = secrets.token_hex(ID_BYTES)
        # The transaction locks the database from its begin: two requests at once cannot both be the
        # last that a quota allows, nor both be the first of one key.
        with self._transaction() as db:
            if request_key is not None:
                row = db.execute(
                    "SELECT * FROM jobs WHERE owner = ? AND request_key = ?", (owner, request_key)
                ).fetchone()
                if row is not None:
                    return read_job(row)
            if max_active is not None:
                (count,) = db.execute(
                    "SELECT count(*) FROM jobs WHERE owner = ? AND state IN (?, ?)",
                    (owner, *ACTIVE_STATES),
                ).fetchone()
                if count >= max_active:
                    raise QuotaError(
                        f"{count} jobs are waiting or running, of {max_active} at most: wait for "
                        "one to end"
                    )
            db.execute(
                "INSERT INTO jobs (id, owner, state, description, request_key, request_hash,"
                " webhook, created) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    job,
                    owner,
                    QUEUED,
                    description.to_json(),
                    request_key,
                    request_hash,
                    webhook,
                    time.time(),
                ),
            )
        return self.get(job)

    def get(self, job: str, owner: str | None = None) -> Job:
        """Return a job.

        Args:
            job: its id.
            owner: who must own it; None for anybody.

        Raises:
            JobNotFoundError: There is no such job, or it is another owner's.
        """
        with self._connection() as db:
            row = db.execute("SELECT * FROM jobs WHERE id = ?", (job,)).fetchone()
        if row is None or (owner is not None and row["owner"] != owner):
            raise JobNotFoundError(f"no job {job[:40]!a}")
        return read_job(row)

    def find_request(self, owner: str, request_key: str) -> Job | None:
        """Return the job that an owner gave with a request's key, or None.

        Args:
            owner: name of the key that gave the job.
            request_key: key of the request; keys of other owners do not count.
        """
        with self._connection() as db:
            row = db.execute(
                "SELECT * FROM jobs WHERE owner = ? AND request_key = ?", (owner, request_key)
            ).fetchone()
        return None if row is None else read_job(row)

    def list_jobs(self, owner: str | None = None, limit: int = 100) -> list[Job]:
        """List the newest jobs, the newest first.

        Args:
            owner: whose; None for everybody's.
            limit: how many at most.
        """
        with self._connection() as db:
            rows = db.execute(
                "SELECT * FROM jobs WHERE ? IS NULL OR owner = ? ORDER BY number DESC LIMIT ?",
                (owner, owner, limit),
            ).fetchall()
        return [read_job(row) for row in rows]

    def count_states(self) -> dict[str, int]:
        """Count the jobs of every state."""
        with self._connection() as db:
            found = dict(db.execute("SELECT state, count(*) FROM jobs GROUP BY state").fetchall())
        return {state: found.get(state, 0) for state in JOB_STATES}

    def claim(self, lease: str) -> Job | None:
        """Take the next job to do it.

        Owners take turns: the next job is one of the owner with the fewest running, among these of
        the one who has waited longest since their last job began, and of theirs the oldest.

        Args:
            lease: random text that no other process has; `report` and `finish` need it.

        Returns:
            The job, or None if nothing waits.
        """
        # Reading first: workers that wait must not keep the others from writing.
        with self._connection() as db:
            if db.execute("SELECT 1 FROM jobs WHERE state = ?", (QUEUED,)).fetchone() is None:
                return None
        with self._transaction() as db:
            row = db.execute(
                "SELECT id FROM jobs AS waiting WHERE state = ? ORDER BY"
                " (SELECT count(*) FROM jobs WHERE owner = waiting.owner AND state = ?),"
                " (SELECT coalesce(max(started), 0) FROM jobs WHERE owner = waiting.owner),"
                " number LIMIT 1",
                (QUEUED, RUNNING),
            ).fetchone()
            if row is None:
                return None
            db.execute(
                "UPDATE jobs SET state = ?, lease = ?, started = ?, attempts = attempts + 1,"
                " progress = NULL, version = version + 1 WHERE id = ?",
                (RUNNING, lease, time.time(), row["id"]),
            )
        return self.get(row["id"])

    def report(self, job: str, lease: str, progress: Progress) -> bool:
        """Store how far a job is.

        Args:
            job: its id.
            lease: lease of the process that does it.
            progress: the report.

        Returns:
            True if the work is to go on; False if it was cancelled or another process has it.
        """
        state = {
            "stage": progress.stage,
            "done": progress.done,
            "total": progress.total,
            "fraction": progress.fraction,
            "seconds_left": progress.seconds_left,
            "values": {name: float(value) for name, value in progress.values.items()},
        }
        with self._transaction() as db:
            row = db.execute(
                "UPDATE jobs SET progress = ?, version = version + 1"
                " WHERE id = ? AND lease = ? AND state = ? RETURNING cancel",
                (json.dumps(state), job, lease, RUNNING),
            ).fetchone()
        return row is not None and not row["cancel"]

    def finish(
        self,
        job: str,
        lease: str,
        *,
        result: Mapping[str, Any] | None = None,
        error: Mapping[str, Any] | None = None,
        cancelled: bool = False,
    ) -> bool:
        """End a job: done with a result, failed with an error, or cancelled.

        Args:
            job: its id.
            lease: lease of the process that did it.
            result: facts about the result.
            error: ``{"type", "message"}``.
            cancelled: whether the work was given up because that was asked for.

        Returns:
            False if another process has the job by now; then nothing changes.
        """
        state = CANCELLED if cancelled else FAILED if error is not None else DONE
        with self._transaction() as db:
            row = db.execute(
                "UPDATE jobs SET state = ?, finished = ?, result = ?, error = ?, lease = NULL,"
                " version = version + 1 WHERE id = ? AND lease = ? AND state = ? RETURNING *",
                (state, time.time(), dump_json(result), dump_json(error), job, lease, RUNNING),
            ).fetchone()
            if row is not None:
                _add_delivery(db, read_job(row))
        return row is not None

    def cancel(self, job: str) -> Job:
        """Cancel a job: at once if it waits, at its next report if it runs.

        A job that has ended stays as it is.

        Args:
            job: its id.

        Raises:
            JobNotFoundError: There is no such job.
        """
        with self._transaction() as db:
            row = db.execute(
                "UPDATE jobs SET state = ?, finished = ?, cancel = 1, version = version + 1"
                " WHERE id = ? AND state = ? RETURNING *",
                (CANCELLED, time.time(), job, QUEUED),
            ).fetchone()
            if row is not None:
                _add_delivery(db, read_job(row))
            db.execute("UPDATE jobs SET cancel = 1 WHERE id = ? AND state = ?", (job, RUNNING))
        return self.get(job)

    def release_all(self) -> int:
        """Put all running jobs back into the queue, as a server that starts does.

        Call it only where no worker runs.

        Returns:
            Number of jobs that wait again.
        """
        with self._transaction() as db:
            return db.execute(
                "UPDATE jobs SET state = ?, lease = NULL, version = version + 1 WHERE state = ?",
                (QUEUED, RUNNING),
            ).rowcount

    def release(self, lease: str) -> None:
        """Put the job of a worker that ended back into the queue.

        A job during which `MAX_DEATHS` workers ended fails.

        Args:
            lease: lease of the worker.
        """
        error = {
            "type": "WorkerDiedError",
            "message": f"the worker ended {MAX_DEATHS} times during this job, as for want of "
            "memory: try shorter footage",
        }
        with self._transaction() as db:
            row = db.execute(
                "UPDATE jobs SET state = ?, lease = NULL, deaths = deaths + 1,"
                " version = version + 1 WHERE state = ? AND lease = ? RETURNING id, deaths",
                (QUEUED, RUNNING, lease),
            ).fetchone()
            # No row: the job ended before its worker did.
            if row is None or row["deaths"] < MAX_DEATHS:
                return
            failed = db.execute(
                "UPDATE jobs SET state = ?, finished = ?, error = ? WHERE id = ? RETURNING *",
                (FAILED, time.time(), json.dumps(error), row["id"]),
            ).fetchone()
            _add_delivery(db, read_job(failed))

    # Uploads.

    def add_upload(
        self, owner: str, path: Path, name: str, num_bytes: int, sha256: str
    ) -> StoredUpload:
        """Record a file that lies in the folder of uploads.

        Args:
            owner: who sent it.
            path: the file.
            name: ending of its name, for readers.
            num_bytes: its size.
            sha256: hash of its content.
        """
        upload = path.name.partition(".")[0]
        with self._transaction() as db:
            db.execute(
                "INSERT INTO uploads VALUES (?, ?, ?, ?, ?, ?)",
                (upload, owner, num_bytes, sha256, path.name, time.time()),
            )
        return self.get_upload(upload, owner)

    def get_upload(self, upload: str, owner: str | None = None) -> StoredUpload:
        """Return an upload.

        Args:
            upload: its id.
            owner: who must have sent it; None for anybody.

        Raises:
            JobNotFoundError: There is no such upload, or another owner sent it.
        """
        with self._connection() as db:
            row = db.execute("SELECT * FROM uploads WHERE id = ?", (upload,)).fetchone()
        if row is None or (owner is not None and row["owner"] != owner):
            raise JobNotFoundError(f"no upload {upload[:40]!a}: it may have been deleted")
        return self._read_upload(row)

    def count_upload_bytes(self, owner: str) -> int:
        """Return the bytes of all uploads that an owner has in the store."""
        with self._connection() as db:
            (count,) = db.execute(
                "SELECT coalesce(sum(bytes), 0) FROM uploads WHERE owner = ?", (owner,)
            ).fetchone()
        return int(count)

    def delete_upload(self, upload: str) -> None:
        """Delete an upload; a job that still needs it fails."""
        found = self.get_upload(upload)
        found.path.unlink(missing_ok=True)
        with self._transaction() as db:
            db.execute("DELETE FROM uploads WHERE id = ?", (upload,))

    def uploads_folder(self) -> Path:
        """Return the folder that uploads are written to, and create it."""
        folder = self.folder / UPLOADS_FOLDER_NAME
        folder.mkdir(exist_ok=True, mode=0o700)
        return folder

    def _read_upload(self, row: sqlite3.Row) -> StoredUpload:
        path = self.folder / UPLOADS_FOLDER_NAME / row["name"]
        return StoredUpload(
            row["id"], row["owner"], row["bytes"], row["sha256"], path, row["created"]
        )

    # Deletion.

    def expire(self, before: float) -> int:
        """Delete the files of jobs that ended, and uploads that came, before a time.

        Args:
            before: the time, s since 1970. Uploads that a waiting or running job reads stay.

        Returns:
            Number of jobs whose results were deleted.
        """
        with self._connection() as db:
            rows = db.execute(
                "SELECT * FROM jobs WHERE finished < ? AND state != ?", (before, EXPIRED)
            ).fetchall()
            active = db.execute(
                "SELECT * FROM jobs WHERE state IN (?, ?)", ACTIVE_STATES
            ).fetchall()
            uploads = db.execute("SELECT * FROM uploads WHERE created < ?", (before,)).fetchall()
        self._forget([row["id"] for row in rows])
        needed = {path for row in active for path in files_of(row)}
        for upload in map(self._read_upload, uploads):
            if upload.path not in needed:
                self.delete_upload(upload.id)
        self._sweep_uploads(before)
        return len(rows)

    def forget_actor(self, actor: str) -> int:
        """Cancel all jobs of an actor, and delete their results, uploads and descriptions.

        Args:
            actor: the actor's id.

        Returns:
            Number of jobs that were forgotten. Those that still run end at their next report, and
            fail because the actor is gone; their files are deleted when they expire.
        """
        with self._connection() as db:
            rows = db.execute("SELECT * FROM jobs WHERE state != ?", (EXPIRED,)).fetchall()
        theirs = [row for row in rows if actor in actors_of(row)]
        for row in theirs:
            if self.cancel(row["id"]).state == RUNNING:
                continue
            for path in files_of(row):
                if path.parent == self.folder / UPLOADS_FOLDER_NAME:
                    path.unlink(missing_ok=True)
                    with self._transaction() as db:
                        db.execute("DELETE FROM uploads WHERE name = ?", (path.name,))
            self._forget([row["id"]])
        with self._connection() as db:  # what was overwritten must leave the log as well
            db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        return len(theirs)

    def _forget(self, jobs: list[str]) -> None:
        """Delete files and descriptions of jobs that have ended; the rows stay for the counts."""
        for job in jobs:
            shutil.rmtree(self.job_folder(job), ignore_errors=True)
            with self._transaction() as db:
                db.execute(
                    "UPDATE jobs SET state = ?, description = '', result = NULL, error = NULL,"
                    " progress = NULL, webhook = NULL, version = version + 1 WHERE id = ?",
                    (EXPIRED, job),
                )
                db.execute("DELETE FROM deliveries WHERE job = ?", (job,))

    def _sweep_uploads(self, before: float) -> None:
        """Delete files of uploads that were cut off."""
        folder = self.uploads_folder()
        with self._connection() as db:
            known = {row["name"] for row in db.execute("SELECT name FROM uploads")}
        for path in folder.iterdir():
            if path.name not in known and path.stat().st_mtime < before:
                path.unlink(missing_ok=True)

    # Keys.

    def add_key(self, name: str, sha256: str, scopes: tuple[str, ...]) -> None:
        """Store a key of the server.

        Args:
            name: name of who holds it.
            sha256: hash of the key; the key itself is not stored.
            scopes: what it may do.

        Raises:
            DubfewError: There is a key of that name.
        """
        try:
            with self._transaction() as db:
                db.execute(
                    "INSERT INTO keys VALUES (?, ?, ?, ?)",
                    (name, sha256, " ".join(scopes), time.time()),
                )
        except sqlite3.IntegrityError:
            raise DubfewError(f"there is a key {name!r} already: choose another name") from None

    def list_keys(self) -> list[dict[str, Any]]:
        """List name, hash, scopes and time of creation of every key."""
        with self._connection() as db:
            rows = db.execute("SELECT * FROM keys ORDER BY created").fetchall()
        return [{**dict(row), "scopes": tuple(row["scopes"].split())} for row in rows]

    def remove_key(self, name: str) -> None:
        """Remove a key.

        Raises:
            DubfewError: There is no key of that name.
        """
        with self._transaction() as db:
            if not db.execute("DELETE FROM keys WHERE name = ?", (name,)).rowcount:
                raise DubfewError(f"no key {name!r}: 'dubfew serve keys list' shows all")

    # Deliveries of webhooks.

    def webhook_secret(self, owner: str, make: Callable[[], str]) -> str:
        """Return the secret that signs an owner's webhooks.

        Args:
            owner: the owner.
            make: function that makes it at the first use.
        """
        with self._transaction() as db:
            db.execute("INSERT OR IGNORE INTO secrets VALUES (?, ?)", (owner, make()))
            row = db.execute("SELECT secret FROM secrets WHERE owner = ?", (owner,)).fetchone()
        return str(row["secret"])

    def due_deliveries(self, now: float) -> list[sqlite3.Row]:
        """List the deliveries that are due.

        Args:
            now: the time, s since 1970.

        Returns:
            Rows with ``id``, ``url``, ``body``, ``attempts`` and ``owner``.
        """
        with self._connection() as db:
            return db.execute(
                "SELECT * FROM deliveries WHERE status = 'pending' AND due <= ? ORDER BY due"
                " LIMIT 20",
                (now,),
            ).fetchall()

    def record_delivery(self, delivery: str, status: str, due: float | None) -> None:
        """Store the outcome of an attempt.

        Args:
            delivery: its id.
            status: "pending", "delivered" or "failed".
            due: time of the next attempt, or None.
        """
        with self._transaction() as db:
            db.execute(
                "UPDATE deliveries SET status = ?, due = ?, attempts = attempts + 1 WHERE id = ?",
                (status, due, delivery),
            )

    def sum_durations(self) -> tuple[int, float]:
        """Count the jobs that were done, and add up their durations, s."""
        with self._connection() as db:
            count, seconds = db.execute(
                "SELECT count(*), coalesce(sum(finished - started), 0) FROM jobs"
                " WHERE finished IS NOT NULL AND started IS NOT NULL"
            ).fetchone()
        return int(count), float(seconds)

    def count_deliveries(self) -> dict[str, int]:
        """Count the deliveries by status."""
        with self._connection() as db:
            return dict(
                db.execute("SELECT status, count(*) FROM deliveries GROUP BY status").fetchall()
            )


def _add_delivery(db: sqlite3.Connection, job: Job) -> None:
    """Tell the job's webhook about its end, in the transaction that ends it."""
    if job.webhook is None:
        return
    # The state of this moment: the message stays true when the job expires before it is delivered.
    body = {
        "type": f"job.{job.state}",
        "timestamp": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(job.finished)),
        "data": {"id": job.id, "state": job.state, "result": job.result, "error": job.error},
    }
    db.execute(
        "INSERT INTO deliveries (id, job, owner, url, body, due) VALUES (?, ?, ?, ?, ?, ?)",
        (
            f"msg_{secrets.token_hex(ID_BYTES)}",
            job.id,
            job.owner,
            job.webhook,
            json.dumps(body),
            time.time(),
        ),
    )
