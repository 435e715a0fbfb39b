"""A worker process that renders nothing, with an actor that it was lent."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from dubfew.batch.worker import BatchWorker, RowJob, do_row
from dubfew.data.workers import WorkerProcess, serve_requests
from dubfew.jobs import running
from dubfew.marks.credentials import RenderProvenance
from dubfew.registry.policy import RenderPurpose
from dubfew.render.publish import sign_and_log


class LentWorker(BatchWorker):
    def __init__(self) -> None:
        WorkerProcess.__init__(self, "tests.batch.lent_worker:serve_lent")


def serve_lent() -> None:
    running.run_job = copy_scene  # type: ignore[assignment]
    serve_requests(lambda: handle)


def handle(fields: dict[str, Any], parent: Any) -> dict[str, Any]:
    """Do the row as the real worker does, but for the render itself."""
    outcome = do_row(RowJob(**fields), lambda units: parent({"units": units}), parent.ask)
    return {"result": outcome.result, "error": outcome.error, "seconds": 1.0}


def copy_scene(job: Any, out: Path, registry: Any, progress: Any, **more: Any) -> dict[str, Any]:
    """Publish a copy of the scene, as a render would its output."""
    stored = registry.open(job.actor)
    names = stored.file_names()
    assert names
    assert all(stored.read(name) for name in names)
    shutil.copy(job.video, out)
    facts = RenderProvenance(job.video, job.audio, "audio", "warp", "", "0" * 64, "ab" * 9)
    sign_and_log(out, out, facts, None, RenderPurpose(), registry, stored)  # type: ignore[arg-type]
    seen = [str(each) for each in registry.home.parent.glob("keys/*/*")]
    assert seen
    return {
        "output": out.name,
        "frames": 75,
        "edited_frames": 75,
        "note": "dim",
        "seen": seen,
    }
