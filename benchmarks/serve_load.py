"""Jobs from many clients while the server is killed: none is lost, none is done twice.

``python -m benchmarks.serve_load`` starts ``dubfew serve`` on loopback. The workers' render is a
stub that waits (``--stub-seconds``), or real renders of an actor of ``DUBFEW_HOME`` (``--actor``,
``--video``, ``--audio``). Clients give jobs at the same time and follow them. In between the server
is killed (SIGKILL) with everything that it does, and started again.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from dubfew.client import Client
from dubfew.jobs import worker
from dubfew.jobs.store import JobStore
from dubfew.server.access import add_key
from dubfew.server.options import ServeOptions
from dubfew.server.running import serve

# File in a store that has one line for every output that a stub has finished.
DONE_NAME = "done.txt"
# Longest time of a run, s.
MAX_SECONDS = 3600.0


@dataclass(frozen=True)
class LoadResult:
    """Outcome of a run.

    Attributes:
        jobs: number of jobs that were given.
        done: number of jobs that are done.
        outputs: number of outputs that were made.
        twice: number of jobs whose output was made more than once.
        kills: number of kills of the server.
        begun_again: number of jobs that were begun more than once.
        seconds: time of the run, s.
        server_mb: memory of the server after a quarter of the run and at its end, MB.
        worker_mb: memory of the largest worker at the same times, MB.
        spread: largest difference between the jobs that any two clients had done, at any moment
            while all of them had jobs waiting.
    """

    jobs: int
    done: int
    outputs: int
    twice: int
    kills: int
    begun_again: int
    seconds: float
    server_mb: tuple[float, float]
    worker_mb: tuple[float, float]
    spread: int


def stub_worker(arguments: list[str]) -> None:
    """Work off a queue with a render that waits; arguments are its seconds and the folder."""
    seconds, folder = float(arguments[0]), Path(arguments[1])

    def run(description: Any, out: Path, registry: Any, progress: Any) -> dict[str, Any]:
        time.sleep(seconds)
        # The note first, as in the audit log: an output that nobody noted must not exist.
        with open(folder / DONE_NAME, "a") as notes:
            notes.write(f"{out.parent.name}\n")
        out.write_bytes(b"video")
        return {"output": out.name}

    worker.main([str(folder)], run=run)


def serve_store(arguments: list[str]) -> None:
    """Serve a store: arguments are folder, port, workers, and the seconds of a stub or ''."""
    folder, port, workers, seconds = arguments
    command = [sys.executable, "-m", "benchmarks.serve_load", "stub-worker", seconds]
    options = ServeOptions(port=int(port), workers=int(workers), max_jobs=10_000)
    serve(options, folder=Path(folder), worker_command=command if seconds else None)


def measure_load(
    folder: Path,
    *,
    jobs: int = 200,
    clients: int = 8,
    workers: int = 2,
    kills: int = 2,
    stub_seconds: float | None = 2.0,
    actor: str = "",
    video: Path | None = None,
    audio: Path | None = None,
    port: int = 0,
) -> LoadResult:
    """Run the test.

    Args:
        folder: folder of the store.
        jobs: number of jobs.
        clients: number of clients.
        workers: number of workers.
        kills: number of kills, spread over the run.
        stub_seconds: duration of a stub; None for real renders.
        actor: actor to render; for a stub there need be none.
        video: scene to upload.
        audio: sound to upload.
        port: port of the server.
    """
    store = JobStore(folder)
    keys = [add_key(store, f"client-{number}", ["render"]) for number in range(clients)]
    port = port or _free_port()
    seconds = "" if stub_seconds is None else str(stub_seconds)
    command = [sys.executable, "-m", "benchmarks.serve_load", "serve"]
    command += [str(folder), str(port), str(workers), seconds]
    began = time.monotonic()
    server = subprocess.Popen(command)
    failures: list[str] = []

    def drive(number: int) -> None:
        try:
            with Client(f"http://127.0.0.1:{port}", keys[number], away_seconds=300) as client:
                scene = client.upload(video) if video else client.upload(__file__)
                sound = client.upload(audio) if audio else scene
                given = [
                    client.render(actor, video=scene, audio=sound)
                    for _ in range(number, jobs, clients)
                ]
                for job in given:
                    client.wait(job.id)
        except Exception as error:
            failures.append(f"client {number}: {error}")

    threads = [threading.Thread(target=drive, args=(number,)) for number in range(clients)]
    memory: list[tuple[float, float]] = []
    spread = 0
    try:
        for thread in threads:
            thread.start()
        killed = 0
        while any(thread.is_alive() for thread in threads):
            assert time.monotonic() - began < MAX_SECONDS
            time.sleep(0.2)
            found = store.list_jobs(limit=jobs)
            ended = Counter(job.owner for job in found if job.finished)
            waiting = {job.owner for job in found if job.state == "queued"}
            if len(waiting) == clients:
                counts = [ended[owner] for owner in waiting]
                spread = max(spread, max(counts) - min(counts))
            if killed < kills and sum(ended.values()) > (killed + 1) * jobs // (kills + 2):
                server.kill()  # SIGKILL: nothing can be put in order
                server.wait()
                killed += 1
                server = subprocess.Popen(command)
            memory.append(_memory_mb(server.pid))
    finally:
        server.terminate()
        server.wait(60)
    assert not failures, failures
    found = store.list_jobs(limit=jobs + 1)
    notes = folder / DONE_NAME
    lines = notes.read_text().split() if notes.exists() else []
    counts = Counter(lines)
    # Without the moments after a kill, in which nothing or no worker runs.
    steady = [each for each in memory if min(each) > 0] or [(0.0, 0.0)]
    (server_early, worker_early), (server_late, worker_late) = steady[len(steady) // 4], steady[-1]
    return LoadResult(
        jobs=len(found),
        done=sum(job.state == "done" for job in found),
        outputs=len([*folder.glob("files/*/output.*")]),
        twice=sum(count > 1 for count in counts.values()),
        kills=killed,
        begun_again=sum(job.attempts > 1 for job in found),
        seconds=time.monotonic() - began,
        server_mb=(server_early, server_late),
        worker_mb=(worker_early, worker_late),
        spread=spread,
    )


def _free_port() -> int:
    """A port that nothing listens on."""
    import socket

    with socket.create_server(("127.0.0.1", 0)) as found:
        return int(found.getsockname()[1])


def _memory_mb(pid: int) -> tuple[float, float]:
    """Resident memory of the server and of its largest worker, MB; 0 where there is none."""
    try:
        server = psutil.Process(pid)
        workers = [each.memory_info().rss for each in server.children(recursive=True)]
        return server.memory_info().rss / 1e6, max(workers, default=0) / 1e6
    except psutil.Error:
        return 0.0, 0.0


def main() -> None:
    """Parse the words of the command line, run the test and print its result."""
    if sys.argv[1:2] == ["stub-worker"]:
        stub_worker(sys.argv[2:])
        return
    if sys.argv[1:2] == ["serve"]:
        serve_store(sys.argv[2:])
        return
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=200)
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--kills", type=int, default=2)
    parser.add_argument("--stub-seconds", type=float, default=2.0)
    parser.add_argument("--actor", default="", help="real renders of this actor in DUBFEW_HOME")
    parser.add_argument("--video", type=Path)
    parser.add_argument("--audio", type=Path)
    words = vars(parser.parse_args())
    if words["actor"]:
        words["stub_seconds"] = None
    else:
        words["actor"] = "stub"
        _make_stub_actor()
    with tempfile.TemporaryDirectory(prefix="dubfew-load-") as name:
        result = measure_load(Path(name), **words)
    print(json.dumps(vars(result)))


def _make_stub_actor() -> None:
    """Store an actor without content in a temporary home, for the checks of the server."""
    from dubfew.registry import Registry

    os.environ["DUBFEW_HOME"] = str(Path(tempfile.mkdtemp(prefix="dubfew-load-")) / "home")
    Registry().create("stub", {"method": "lora"}, {"texture": b"content"})


if __name__ == "__main__":
    main()
