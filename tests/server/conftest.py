"""A server on a free port of this machine, whose jobs the tests do themselves."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from dubfew.client import Client
from dubfew.jobs.store import JobStore
from dubfew.jobs.worker import work_off
from dubfew.registry import Registry
from dubfew.server.application import make_application
from dubfew.server.options import ServeOptions

# What the extra brings; without it the server's tests are skipped.
PACKAGES = (
    "fastapi",
    "fastapi_offline",
    "httpx2",
    "multipart",
    "prometheus_client",
    "uvicorn",
)


@dataclass
class RunningServer:
    """A server of the tests."""

    url: str
    store: JobStore
    registry: Registry
    folder: Path

    def client(self, key: str | None = None) -> Client:
        """Connect to the server; one that is away is away."""
        return Client(self.url, key, away_seconds=0)

    def work(self, run: Any = None) -> int:
        """Do the jobs that wait."""
        return work_off(self.store, "lease", self.registry, run=run or write_output, wait=False)


def write_output(description: Any, out: Path, registry: Registry, progress: Any) -> dict[str, Any]:
    """Stand for a render: copy the sound."""
    out.write_bytes(description.audio.read_bytes() if description.audio else b"video")
    return {"output": out.name, "frames": 50}


@pytest.fixture
def options() -> ServeOptions:
    return ServeOptions(port=0, max_upload=0.05, max_stored=0.1, max_jobs=5)


@pytest.fixture
def server(tmp_path: Path, options: ServeOptions) -> Iterator[RunningServer]:
    for package in PACKAGES:
        pytest.importorskip(package)
    import uvicorn

    registry = Registry(tmp_path / "home")
    registry.create("mary", {"method": "lora"}, {"texture": b"content"})
    store = JobStore(tmp_path / "home" / "jobs")
    application = make_application(store, options, registry=lambda: Registry(tmp_path / "home"))
    listening = socket.create_server(("127.0.0.1", 0))
    running = uvicorn.Server(
        uvicorn.Config(application, log_level="error", timeout_graceful_shutdown=1)
    )
    thread = threading.Thread(target=running.run, kwargs={"sockets": [listening]}, daemon=True)
    thread.start()
    end = time.monotonic() + 60
    while not running.started:
        assert time.monotonic() < end
        time.sleep(0.01)
    port = listening.getsockname()[1]
    try:
        yield RunningServer(f"http://127.0.0.1:{port}", store, registry, tmp_path)
    finally:
        running.should_exit = True
        thread.join(60)
        listening.close()
