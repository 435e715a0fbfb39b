"""The load test of the server, small: killed once, nothing is lost or done twice."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.serve_load import measure_load
from dubfew.registry import Registry

for package in ("fastapi_offline", "httpx2", "multipart", "prometheus_client", "uvicorn"):
    pytest.importorskip(package)


@pytest.mark.slow
def test_a_killed_server_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DUBFEW_HOME", str(tmp_path / "home"))
    root = Path(__file__).resolve().parents[2]
    monkeypatch.setenv("PYTHONPATH", str(root))
    Registry().create("stub", {"method": "lora"}, {"texture": b"content"})
    found = measure_load(
        tmp_path / "store", jobs=6, clients=2, workers=1, kills=1, stub_seconds=0.2, actor="stub"
    )
    assert (found.jobs, found.done, found.outputs, found.twice) == (6, 6, 6, 0)
    assert found.kills == 1
