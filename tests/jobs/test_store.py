"""The queue: turns, leases, repeated requests, deletion."""

from __future__ import annotations

from pathlib import Path

import pytest

from dubfew.errors import DubfewError
from dubfew.jobs.description import JobDescription
from dubfew.jobs.records import JobNotFoundError, QuotaError
from dubfew.jobs.store import MAX_DEATHS, JobStore
from dubfew.progress import Progress


@pytest.fixture
def store(tmp_path: Path) -> JobStore:
    return JobStore(tmp_path / "store")


def describe(actor: str = "mary", audio: Path = Path("a.wav")) -> JobDescription:
    return JobDescription(actor=actor, audio=audio)


def test_owners_take_turns(store: JobStore) -> None:
    for owner in ("a", "a", "a", "b", "c"):
        store.add(describe(), owner=owner)
    order = []
    for number in range(5):
        job = store.claim(f"{number}")
        assert job is not None
        order.append(job.owner)
        store.finish(job.id, f"{number}", result={})
    assert order == ["a", "b", "c", "a", "a"]
    assert store.claim("more") is None


def test_only_the_lease_ends_a_job(store: JobStore) -> None:
    given = store.add(describe(), owner="a")
    assert store.claim("old") is not None
    assert store.release_all() == 1
    again = store.claim("new")
    assert again is not None
    assert (again.id, again.attempts) == (given.id, 2)
    assert not store.report(given.id, "old", Progress("render", 1))
    assert not store.finish(given.id, "old", result={"by": "old"})
    assert store.report(given.id, "new", Progress("render", 1, 4, fraction=0.25))
    assert store.get(given.id).progress == {
        "stage": "render",
        "done": 1,
        "total": 4,
        "fraction": 0.25,
        "seconds_left": None,
        "values": {},
    }
    assert store.finish(given.id, "new", result={"by": "new"})
    assert not store.finish(given.id, "new", result={"by": "twice"})
    assert store.get(given.id).result == {"by": "new"}


def test_a_job_that_ends_its_workers_fails(store: JobStore) -> None:
    job = store.add(describe(), owner="a", webhook="http://127.0.0.1/hook")
    for number in range(MAX_DEATHS):
        assert store.get(job.id).state == "queued"
        store.claim(f"{number}")
        store.release(f"{number}")
    assert store.get(job.id).state == "failed"
    assert "memory" in str(store.get(job.id).error)
    assert [row["job"] for row in store.due_deliveries(1e12)] == [job.id]


def test_restarts_of_the_server_are_no_fault_of_the_job(store: JobStore) -> None:
    job = store.add(describe(), owner="a")
    for number in range(MAX_DEATHS + 2):
        store.claim(f"{number}")
        store.release_all()
    assert store.get(job.id).state == "queued"


def test_a_repeated_request_is_the_same_job(store: JobStore) -> None:
    one = store.add(describe(), owner="a", request_key="k", request_hash="h")
    assert store.add(describe("ann"), owner="a", request_key="k").id == one.id
    assert store.add(describe(), owner="b", request_key="k").id != one.id
    assert len(store.list_jobs()) == 2


def test_the_quota_counts_what_waits_and_runs(store: JobStore) -> None:
    job = store.add(describe(), owner="a", max_active=1)
    with pytest.raises(QuotaError, match="1 jobs are waiting"):
        store.add(describe(), owner="a", max_active=1)
    store.add(describe(), owner="b", max_active=1)
    store.cancel(job.id)
    store.add(describe(), owner="a", max_active=1)


def test_a_running_job_is_cancelled_at_its_next_report(store: JobStore) -> None:
    job = store.add(describe(), owner="a")
    store.claim("lease")
    assert store.cancel(job.id).state == "running"
    assert not store.report(job.id, "lease", Progress("render", 1))
    store.finish(job.id, "lease", cancelled=True)
    assert store.cancel(job.id).state == "cancelled"


def test_others_see_nothing(store: JobStore) -> None:
    job = store.add(describe(), owner="a")
    with pytest.raises(JobNotFoundError):
        store.get(job.id, "b")
    with pytest.raises(JobNotFoundError):
        store.get("no-such-job")


def add_upload(store: JobStore, name: str) -> Path:
    path = store.uploads_folder() / name
    path.write_bytes(b"sound")
    store.add_upload("a", path, name, 5, "0" * 64)
    return path


def test_old_files_are_deleted_but_not_what_waits(store: JobStore) -> None:
    used, unused = add_upload(store, "1.wav"), add_upload(store, "2.wav")
    done = store.add(describe(), owner="a")
    store.claim("lease")
    store.job_folder(done.id).mkdir(parents=True)
    store.finish(done.id, "lease", result={})
    waiting = store.add(describe(audio=used), owner="a")
    assert store.expire(before=1e12) == 1
    assert store.get(done.id).state == "expired"
    assert store.get(done.id).description is None
    assert not store.job_folder(done.id).exists()
    assert store.get(waiting.id).state == "queued"
    assert (used.exists(), unused.exists()) == (True, False)
    assert store.count_upload_bytes("a") == 5


def test_an_actor_is_forgotten(store: JobStore) -> None:
    path = add_upload(store, "1.wav")
    mary = store.add(describe("mary-the-first", audio=path), owner="a")
    ann = store.add(describe("ann"), owner="a")
    assert store.forget_actor("mary-the-first") == 1
    assert store.get(mary.id).description is None
    assert not path.exists()
    assert store.get(ann.id).state == "queued"
    assert not any(
        b"mary-the-first" in each.read_bytes() for each in store.folder.rglob("*") if each.is_file()
    )


def test_a_newer_store_is_refused(store: JobStore) -> None:
    import sqlite3

    db = sqlite3.connect(store.folder / "jobs.sqlite")
    db.execute("PRAGMA user_version = 99")
    db.close()
    with pytest.raises(DubfewError, match="newer dubfew"):
        JobStore(store.folder)
