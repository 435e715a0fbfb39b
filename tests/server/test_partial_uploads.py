"""Uploads in parts: what has come stays, is complete at its end, and belongs to its owner."""

from __future__ import annotations

import hashlib
from contextlib import suppress
from pathlib import Path

import pytest

from dubfew.jobs.records import JobNotFoundError, QuotaError
from dubfew.jobs.store import JobStore
from dubfew.server.partial_uploads import PartialUploads, UploadBusyError, UploadConflictError


@pytest.fixture
def store(tmp_path: Path) -> JobStore:
    return JobStore(tmp_path / "store")


def test_an_upload_comes_in_parts(store: JobStore) -> None:
    uploads = PartialUploads(store, 100)
    made = uploads.create("ann", 6, ".mp4")
    with uploads.append(made.id, "ann", 0) as writer:
        writer.write(b"abc")
        with pytest.raises(UploadBusyError), uploads.append(made.id, "ann", 0):
            pass
    assert uploads.offset(made.id, "ann") == (3, 6)
    with pytest.raises(UploadConflictError, match="has 3 bytes"), uploads.append(made.id, "ann", 2):
        pass
    # The connection breaks: what was written stays.
    with suppress(ConnectionError), uploads.append(made.id, "ann", 3) as writer:
        writer.write(b"d")
        raise ConnectionError
    assert uploads.offset(made.id, "ann") == (4, 6)
    with pytest.raises(UploadConflictError), uploads.append(made.id, "ann", 4) as writer:
        writer.write(b"efg")
    with pytest.raises(JobNotFoundError):
        store.get_upload(made.id)
    with uploads.append(made.id, "ann", 4) as writer:
        writer.write(b"ef")
    found = store.get_upload(made.id, "ann")
    assert found.path.read_bytes() == b"abcdef"
    assert found.path.name == f"{made.id}.mp4"
    assert found.sha256 == hashlib.sha256(b"abcdef").hexdigest()
    assert uploads.offset(made.id, "ann") == (6, 6)
    with pytest.raises(UploadConflictError, match="complete"), uploads.append(made.id, "ann", 6):
        pass
    assert [path.name for path in store.uploads_folder().iterdir()] == [found.path.name]
    uploads.delete(made.id, "ann")
    assert [*store.uploads_folder().iterdir()] == []


def test_uploads_of_others_are_not_there(store: JobStore) -> None:
    uploads = PartialUploads(store, 100)
    made = uploads.create("ann", 60, ".wav")
    for call in (uploads.offset, uploads.delete):
        for upload, owner in ((made.id, "bob"), ("../" + made.id, "ann"), ("0" * 32, "ann")):
            with pytest.raises(JobNotFoundError):
                call(upload, owner)
    # What is promised counts, for its owner alone.
    with pytest.raises(QuotaError):
        uploads.create("ann", 41, ".wav")
    assert uploads.create("bob", 100, ".wav").length == 100
    uploads.delete(made.id, "ann")
    empty = uploads.create("ann", 0, ".txt")
    assert store.get_upload(empty.id, "ann").bytes == 0
    # Old ones are deleted as all files are.
    store.expire(before=1e12)
    assert [*store.uploads_folder().iterdir()] == []
