"""Jobs and uploads as the queue's database has them: tables, records, states, errors."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dubfew.errors import DubfewError
from dubfew.jobs.description import JobDescription

# States of a job.
QUEUED, RUNNING, DONE, FAILED, CANCELLED, EXPIRED = JOB_STATES = (
    "queued",
    "running",
    "done",
    "failed",
    "cancelled",
    "expired",
)
ACTIVE_STATES = (QUEUED, RUNNING)

# Tables of the database, version 1.
SCHEMA = """
CREATE TABLE IF NOT EXISTS jobs (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    owner TEXT NOT NULL,
    state TEXT NOT NULL,
    description TEXT NOT NULL,
    request_key TEXT,
    request_hash TEXT,
    webhook TEXT,
    created REAL NOT NULL,
    started REAL,
    finished REAL,
    attempts INTEGER NOT NULL DEFAULT 0,
    deaths INTEGER NOT NULL DEFAULT 0,
    lease TEXT,
    cancel INTEGER NOT NULL DEFAULT 0,
    version INTEGER NOT NULL DEFAULT 1,
    progress TEXT,
    result TEXT,
    error TEXT
);
CREATE UNIQUE INDEX IF NOT EXISTS request_keys ON jobs (owner, request_key)
    WHERE request_key IS NOT NULL;
CREATE INDEX IF NOT EXISTS states ON jobs (state, owner);
CREATE TABLE IF NOT EXISTS uploads (
    id TEXT PRIMARY KEY,
    owner TEXT NOT NULL,
    bytes INTEGER NOT NULL,
    sha256 TEXT NOT NULL,
    name TEXT NOT NULL,
    created REAL NOT NULL
);
CREATE TABLE IF NOT EXISTS keys (
    name TEXT PRIMARY KEY,
    sha256 TEXT NOT NULL UNIQUE,
    scopes TEXT NOT NULL,
    created REAL NOT NULL
);
CREATE TABLE IF NOT EXISTS secrets (
    owner TEXT PRIMARY KEY,
    secret TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS deliveries (
    id TEXT PRIMARY KEY,
    job TEXT NOT NULL,
    owner TEXT NOT NULL,
    url TEXT NOT NULL,
    body TEXT NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0,
    due REAL,
    status TEXT NOT NULL DEFAULT 'pending'
);
"""


class JobNotFoundError(DubfewError):
    """The queue has no such job or upload."""


class QuotaError(DubfewError):
    """An owner has as many jobs or uploads as they may have."""


@dataclass(frozen=True)
class Job:
    """One job of the queue.

    Attributes:
        id: random id.
        owner: who gave it; jobs of different owners take turns.
        state: one of `JOB_STATES`.
        description: what is to be done; None once it has expired.
        request_key: key by which the owner can repeat the request without a second job, or None.
        request_hash: hash of that request, or None.
        webhook: URL that is told about the end, or None.
        created: time at which it was given, s since 1970.
        started: time at which the last attempt began, or None.
        finished: time at which it ended, or None.
        attempts: how often it was begun.
        cancelled: whether its end was asked for.
        version: number that grows with every change.
        progress: last report of the work, as JSON has it, or None.
        result: facts about the result, or None.
        error: ``{"type", "message"}`` of a failure, or None.
    """

    id: str
    owner: str
    state: str
    description: JobDescription | None
    request_key: str | None
    request_hash: str | None
    webhook: str | None
    created: float
    started: float | None
    finished: float | None
    attempts: int
    cancelled: bool
    version: int
    progress: dict[str, Any] | None
    result: dict[str, Any] | None
    error: dict[str, Any] | None


@dataclass(frozen=True)
class StoredUpload:
    """A file that an owner has sent.

    Attributes:
        id: random id.
        owner: who sent it.
        bytes: its size.
        sha256: hash of its content.
        path: where it is.
        created: time at which it came, s since 1970.
    """

    id: str
    owner: str
    bytes: int
    sha256: str
    path: Path
    created: float


def read_job(row: sqlite3.Row) -> Job:
    """Read a job from its row."""
    text = row["description"]
    return Job(
        id=row["id"],
        owner=row["owner"],
        state=row["state"],
        description=JobDescription.from_json(text) if text else None,
        request_key=row["request_key"],
        request_hash=row["request_hash"],
        webhook=row["webhook"],
        created=row["created"],
        started=row["started"],
        finished=row["finished"],
        attempts=row["attempts"],
        cancelled=bool(row["cancel"]),
        version=row["version"],
        progress=_parse_json(row["progress"]),
        result=_parse_json(row["result"]),
        error=_parse_json(row["error"]),
    )


def files_of(row: sqlite3.Row) -> list[Path]:
    """List the files that a job reads."""
    job = read_job(row)
    return [] if job.description is None else job.description.list_files()


def actors_of(row: sqlite3.Row) -> list[str]:
    """List the ids of the actors that a job renders or has learned."""
    job = read_job(row)
    named = [] if job.description is None else job.description.list_actors()
    result = job.result or {}
    learned = result.get("learned") or {}
    return [*named, *filter(None, (result.get("actor"), learned.get("actor")))]


def dump_json(value: Mapping[str, Any] | None) -> str | None:
    """Write an object as JSON; None stays None."""
    return None if value is None else json.dumps(value)


def _parse_json(text: str | None) -> Any:
    return None if text is None else json.loads(text)
