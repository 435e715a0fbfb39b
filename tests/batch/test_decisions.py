"""Decisions of a review: retakes are done anew and keep the earlier take, the audit log has all."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from dubfew.batch.decisions import read_decisions
from dubfew.batch.run import run_batch
from dubfew.batch.state import BatchState
from dubfew.errors import DubfewError
from dubfew.registry import Registry
from dubfew.utils.files import sha256_file
from tests.batch.test_run import run, write_table


def write_decisions(work: Path, **verdicts: str) -> Path:
    """Decisions on the outputs as they are now."""
    shots = {
        name: {
            "verdict": verdict,
            "output_sha256": sha256_file(work / "out" / f"{name}.mp4"),
            "notes": [{"frame": 7, "text": "lips"}, {"frame": 3, "text": "late"}],
        }
        for name, verdict in verdicts.items()
    }
    path = work / "decisions.json"
    path.write_text(json.dumps({"format": "dubfew-review", "format_version": 1, "shots": shots}))
    return path


@pytest.mark.slow
def test_a_retake_is_done_once_and_keeps_the_earlier_take(work, source, tmp_path):
    registry = Registry(tmp_path / "home")
    Registry(source / "home").export("mary", tmp_path / "mary.zip", plain=True)
    registry.import_file(tmp_path / "mary.zip")
    write_table(work, a="", b="", c="")
    run(work, registry)
    path = write_decisions(work, a="retake", b="approved", c="rejected")
    found = read_decisions(path)
    assert [note.frame for note in found.by_id["a"].notes] == [3, 7]
    plans = []
    run(work, registry, retakes=path, check=True, on_plan=plans.extend)
    assert {plan.row.id: plan.reason for plan in plans} == {
        "a": "retake",
        "b": "unchanged",
        "c": "unchanged",
    }
    assert "nothing has changed" in plans[0].warnings[-1]
    assert run(work, registry, retakes=path).done == ("a",)
    (kept,) = (work / "out" / "takes").iterdir()
    assert (kept.name, kept.read_text()) == (f"a-{found.by_id['a'].sha256[:8]}.mp4", "a 1")
    assert (work / "out" / "a.mp4").read_text() == "a 2"
    # The decision was about the earlier take.
    assert run(work, registry, retakes=path).done == ()
    entries = [each for each in registry.audit().iter_entries() if each.event == "review"]
    assert [each.fields["verdict"] for each in entries] == ["retake", "approved", "rejected"]
    assert {each.fields["decisions_sha256"] for each in entries} == {found.sha256}
    assert [row["id"] for row in BatchState(work / "out").read_rows()] == ["a", "b", "c"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "no decisions"),
        ('{"format": "x"}', "its format is 'x'"),
        ('{"format": "dubfew-review", "format_version": 2, "shots": {}}', "update dubfew"),
        (
            '{"format": "dubfew-review", "format_version": 1, "shots": '
            '{"a": {"verdict": "fine", "output_sha256": ""}}}',
            "no verdict 'fine'",
        ),
    ],
)
def test_a_file_without_decisions(work, registry, text, words):
    write_table(work, a="")
    (work / "decisions.json").write_text(text)
    with pytest.raises(DubfewError, match=words):
        run_batch(
            work / "jobs.csv", work / "out", retakes=work / "decisions.json", registry=registry
        )
    assert not (work / "out").exists()
