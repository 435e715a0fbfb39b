"""Workers: results, failures, what a killed process leaves, and the end of the parent."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from dubfew.errors import MediaError
from dubfew.jobs.description import JobDescription
from dubfew.jobs.pool import WorkerPool
from dubfew.jobs.store import JobStore
from dubfew.jobs.worker import work_off
from dubfew.progress import Progress
from dubfew.registry import Registry

# A worker that does nothing but write its output.
STUB = """
import sys
from dubfew.jobs import worker
def run(job, out, registry, progress):
    out.write_bytes(b"video")
    return {"output": out.name}
worker.main(sys.argv[1:], run=run)
"""


@pytest.fixture
def store(tmp_path: Path) -> JobStore:
    return JobStore(tmp_path / "store")


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    return Registry(tmp_path / "home")


def work(store: JobStore, registry: Registry, run: Any) -> int:
    return work_off(store, "lease", registry, run=run, wait=False)


def test_a_result_is_stored(store: JobStore, registry: Registry) -> None:
    job = store.add(JobDescription(actor="mary", container="mov"), owner="a")

    def run(description: JobDescription, out: Path, *rest: Any) -> dict[str, Any]:
        assert description == job.description
        out.write_bytes(b"video")
        return {"output": out.name}

    assert work(store, registry, run) == 1
    found = store.get(job.id)
    assert (found.state, found.result) == ("done", {"output": "output.mov"})


def test_what_was_finished_is_not_done_again(store: JobStore, registry: Registry) -> None:
    """A process that is killed between the output and the entry in the queue."""
    job = store.add(JobDescription(actor="mary"), owner="a")
    store.claim("killed")
    store.job_folder(job.id).mkdir(parents=True)
    (store.job_folder(job.id) / "output.mp4").write_bytes(b"video")
    store.release_all()

    def run(*arguments: Any) -> dict[str, Any]:
        raise AssertionError("the work was done twice")

    work(store, registry, run)
    assert store.get(job.id).state == "done"


def test_errors_name_no_folder_of_the_server(store: JobStore, registry: Registry) -> None:
    path = store.uploads_folder() / "12ab.wav"
    path.write_bytes(b"")
    job = store.add(JobDescription(actor="mary", audio=path), owner="a")

    def run(*arguments: Any) -> dict[str, Any]:
        raise MediaError(f"{path} is empty (0 bytes)")

    work(store, registry, run)
    assert store.get(job.id).error == {
        "type": "MediaError",
        "message": "upload 12ab is empty (0 bytes)",
    }


def test_a_fault_is_a_failure_of_the_job_alone(
    store: JobStore, registry: Registry, capfd: pytest.CaptureFixture[str]
) -> None:
    jobs = [store.add(JobDescription(actor="mary"), owner="a") for _ in range(2)]

    def run(*arguments: Any) -> dict[str, Any]:
        raise ZeroDivisionError("secret")

    assert work(store, registry, run) == 2
    assert [store.get(job.id).state for job in jobs] == ["failed", "failed"]
    assert "secret" not in str(store.get(jobs[0].id).error)
    assert "ZeroDivisionError: secret" in capfd.readouterr().err


def test_cancelled_work_stops_and_leaves_nothing(store: JobStore, registry: Registry) -> None:
    job = store.add(JobDescription(actor="mary"), owner="a")

    def run(description: JobDescription, out: Path, registry: Registry, progress: Any) -> Any:
        progress(Progress("track", 0))
        store.cancel(job.id)
        progress(Progress("render", 0))
        raise AssertionError("the work went on")

    work(store, registry, run)
    assert store.get(job.id).state == "cancelled"
    assert not store.job_folder(job.id).exists()


def wait_for(condition: Any) -> None:
    """Wait for something that another process does; two minutes are for a machine at its limit."""
    end = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


@pytest.mark.slow
def test_a_pool_replaces_workers(store: JobStore, tmp_path: Path) -> None:
    pool = WorkerPool(store, 1, [sys.executable, "-c", STUB])
    pool.start()
    try:
        one = store.add(JobDescription(actor="mary"), owner="a")
        wait_for(lambda: store.get(one.id).state == "done")
        pool._workers[0].process.kill()
        two = store.add(JobDescription(actor="mary"), owner="a")
        wait_for(lambda: store.get(two.id).state == "done")
    finally:
        pool.stop()
    assert pool.num_alive == 0


@pytest.mark.slow
def test_a_worker_ends_with_its_parent(store: JobStore) -> None:
    worker = subprocess.Popen(
        [sys.executable, "-c", STUB, str(store.folder)], stdin=subprocess.PIPE, text=True
    )
    assert worker.stdin is not None
    worker.stdin.write("lease\n")
    worker.stdin.flush()
    job = store.add(JobDescription(actor="mary"), owner="a")
    wait_for(lambda: store.get(job.id).state == "done")
    worker.stdin.close()
    assert worker.wait(120) == 1


@pytest.mark.slow
def test_a_second_pool_takes_the_place_of_the_first(store: JobStore) -> None:
    """As when `dubfew app` and `dubfew serve` share a queue."""
    first, second = (WorkerPool(store, 1, [sys.executable, "-c", STUB]) for _ in range(2))
    first.start()
    second.start()
    try:
        assert (first.num_alive, second.num_alive) == (1, 0)
        first.stop()
        wait_for(lambda: second.num_alive == 1)
    finally:
        first.stop()
        second.stop()
