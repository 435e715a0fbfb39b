"""Exit codes and output of evaluate, without measuring anything."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest
from typer.testing import Result

from dubfew import api
from dubfew.cli.app import app
from dubfew.cli.summaries import format_folder
from dubfew.evaluate.compare import EvaluationResult
from dubfew.evaluate.folders import summarize
from dubfew.evaluate.gate import BrokenLimit
from dubfew.evaluate.metrics import METRICS
from tests.commands import CommandRunner

MEASURED = EvaluationResult(
    *[9, 30.0, 0.99, 28.0, 0.9, 1.0, 0.9, 0.8, 0.0, 0.9, 1.0, 0],
    more={"seam": 0.5, "fid": None},
    unavailable={"fid": "weights"},
    intervals={"seam": (0.4, 0.6), "psnr": (float("nan"), float("nan"))},
    floor={
        "re-encoded": EvaluationResult(
            *[9, 40.0, 0.99, 38.0, 0.9, 1.0, 0.9, 0.8, 0.0, 0.9, 1.0, 0], more={"seam": 0.1}
        )
    },
)


@pytest.fixture
def limits(tmp_path: Path) -> Path:
    (tmp_path / "limits.json").write_text('{"seam": {"max": 0.3}}')
    return tmp_path / "limits.json"


def run(monkeypatch: pytest.MonkeyPatch, found: EvaluationResult, *arguments: str) -> Result:
    monkeypatch.setattr(api, "evaluate", lambda *given, **more: found)
    return CommandRunner().invoke(app, ["evaluate", "a.mp4", "b.mp4", *arguments])


def test_table_has_intervals_and_noise(monkeypatch: pytest.MonkeyPatch):
    done = run(monkeypatch, MEASURED)
    assert done.exit_code == 0
    (row,) = (line for line in done.output.splitlines() if line.startswith("seam"))
    assert row.split()[:11] == [
        "seam",
        "0.5",
        "8-bit",
        "levels",
        "per",
        "px",
        "0.4",
        "to",
        "0.6",
        "0.1",
        "fair",
    ]
    assert "n/a: needs weights" in done.output


@pytest.mark.slow
def test_a_broken_limit_ends_with_one(monkeypatch: pytest.MonkeyPatch, limits: Path):
    broken = dataclasses.replace(MEASURED, broken_limits=(BrokenLimit("seam", "0.5, at most 0.3"),))
    done = run(monkeypatch, broken, "--require", str(limits))
    assert done.exit_code == 1
    assert done.output.splitlines()[-1] == "limit broken: seam: 0.5, at most 0.3"
    done = run(monkeypatch, broken, "--require", str(limits), "--json")
    assert done.exit_code == 1
    printed = json.loads(done.output.splitlines()[-1])
    assert printed["broken_limits"][0]["metric"] == "seam"
    assert printed["intervals"] == {"seam": [0.4, 0.6]}
    assert run(monkeypatch, MEASURED, "--require", str(limits)).exit_code == 0


@pytest.mark.slow
def test_wrong_usage_ends_with_two(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    assert run(monkeypatch, MEASURED, "--require", str(tmp_path / "none.json")).exit_code == 2
    assert run(monkeypatch, MEASURED, "--html", "page.txt").exit_code == 2
    assert run(monkeypatch, MEASURED, "--transcript", "text.txt").exit_code == 2
    (tmp_path / "folder").mkdir()
    words = ["evaluate", "a", str(tmp_path / "folder"), "--floor"]
    assert CommandRunner().invoke(app, words).exit_code == 2


def test_a_folder_has_verdicts_and_marks_what_says_nothing():
    result = summarize({"a": MEASURED, "b": MEASURED}, {})
    text = format_folder(result, METRICS, {})
    rows = {line.split()[0]: line for line in text.splitlines()}
    assert "mean of 2 clips" in text
    assert "good  lower is better" in rows["lmd"]
    assert "fair" in rows["seam"]
    assert "n/a: needs weights: fid" in text
    other = dataclasses.replace(MEASURED, same_line=False)
    text = format_folder(summarize({"a": MEASURED, "b": other}, {}), METRICS, {})
    assert text.startswith("warning: b: the output speaks another line")
    (row,) = (line for line in text.splitlines() if line.startswith("lmd *"))
    assert row.endswith("good from 1.2, poor from 3.4")
    assert row.count("good") == 1
