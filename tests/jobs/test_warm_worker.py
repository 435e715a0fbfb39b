"""Workers keep actors and tracks between jobs, and forget those that were deleted."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from dubfew.jobs import worker
from dubfew.jobs.description import JobDescription
from dubfew.registry import Registry
from dubfew.render.cache import RenderCache, _revision_key


def test_a_cache_forgets_deleted_actors(tmp_path: Path) -> None:
    registry = Registry(tmp_path / "home")
    made = {
        name: registry.create(name, {"method": "lora"}, {"texture": name.encode()})
        for name in ("mary", "ann")
    }
    cache = RenderCache(max_actors=2, max_tracks=2)
    for name, revision in made.items():
        cache._actors[_revision_key(revision), None] = name  # type: ignore[assignment]
        cache._tracks[f"scene of {name}", _revision_key(revision)] = name  # type: ignore[assignment]
    cache.forget_absent(registry)
    assert [*cache._actors.values()] == ["mary", "ann"]
    registry.delete("mary")
    # Another person under the same id is not the one who was deleted.
    registry.create("mary", {"method": "lora"}, {"texture": b"another"})
    cache.forget_absent(registry)
    assert [*cache._actors.values()] == [*cache._tracks.values()] == ["ann"]


def test_the_jobs_of_a_worker_share_a_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    caches = []

    def run(*arguments: Any, cache: RenderCache) -> dict[str, Any]:
        caches.append(cache)
        return {}

    monkeypatch.setattr(worker, "run_job", run)
    runner, registry = worker.WarmRunner(), Registry(tmp_path / "home")
    for _ in range(2):
        runner(JobDescription(actor="mary"), tmp_path / "out.mp4", registry)
    assert caches[0] is caches[1]


def test_a_worker_that_waits_has_loaded_nothing_large() -> None:
    program = "import sys, dubfew.jobs.worker; print({'numpy', 'av', 'torch'} & {*sys.modules})"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout.strip() == "set()"
