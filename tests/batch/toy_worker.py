"""A worker process that writes its job's name instead of a video, as slowly as it is told."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

from dubfew.batch.worker import BatchWorker
from dubfew.data.workers import WorkerProcess, serve_requests
from dubfew.jobs.description import JobDescription
from dubfew.utils.files import write_atomic


class ToyWorker(BatchWorker):
    def __init__(self) -> None:
        WorkerProcess.__init__(self, "tests.batch.toy_worker:serve_toys")


def serve_toys() -> None:
    serve_requests(lambda: handle)


def handle(fields: dict[str, Any], send_message: Any) -> dict[str, Any]:
    """Fail or die as the project's name says, as often as files beside the output allow."""
    word = str(JobDescription.from_json(fields["description"]).options.get("project", ""))
    tries = Path(fields["out"] + ".tries")
    count = int(tries.read_text()) + 1 if tries.exists() else 1
    tries.write_text(str(count))
    send_message({"units": fields["weight"]})
    if word == "wrong":
        return {"error": "the face is not the actor's", "may_retry": False}
    if word == "dies" or (word == "dies once" and count == 1):
        os._exit(7)
    if word.startswith("slow"):
        time.sleep(60 if count == 1 else 0)
    write_atomic(Path(fields["out"]), f"{fields['id']} {count}".encode())
    result = {"frames": 10, "edited_frames": 4 if word == "few" else 10, "note": word}
    return json.loads(json.dumps({"result": result, "seconds": 1.5}))
