"""Batches: checked whole, isolated failures, retries, resumed after kill -9, changed rows."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from dubfew.batch import run as batch_run
from dubfew.batch.run import InvalidTableError, run_batch
from dubfew.batch.state import BatchState
from dubfew.errors import DubfewError
from dubfew.progress import Progress
from dubfew.registry import Registry

# Program that runs a batch of toys, to be killed.
DRIVER = """
import sys
from pathlib import Path
from dubfew.batch import run
from dubfew.registry import Registry
from tests.batch.toy_worker import ToyWorker
run.BatchWorker = ToyWorker
run.run_batch(sys.argv[1], sys.argv[2], jobs=1, registry=Registry(Path(sys.argv[3])))
"""


def write_table(folder: Path, **projects: str) -> Path:
    """A row for each name, whose project tells the toy what to do."""
    path = folder / "jobs.csv"
    lines = [f"{name},mary,mary.mp4,dub.wav,trim,{word}" for name, word in projects.items()]
    path.write_text("\n".join(["id,actor,video,audio,fit,project", *lines]))
    return path


def run(work: Path, registry, **options):
    return run_batch(work / "jobs.csv", work / "out", jobs=2, registry=registry, **options)


@pytest.mark.slow
def test_one_failure_stops_nothing_and_is_tried_again_where_that_helps(work, registry):
    words = {"a": "", "b": "wrong", "c": "dies once", "d": "dies", "e": "few"}
    write_table(work, **words)
    events, reports = work / "events.ndjson", []
    result = run(work, registry, events=events, progress=reports.append)
    assert sorted(result.done) == ["a", "c", "e"]
    assert result.failed["b"] == "the face is not the actor's"
    assert "ended with code 7" in result.failed["d"]
    tries = {name: (work / "out" / f"{name}.mp4.tries").read_text() for name in words}
    assert tries == {"a": "1", "b": "1", "c": "2", "d": "2", "e": "1"}
    # Failures first, then the output with few painted frames.
    page = result.summary.read_text()
    places = [page.index(f"<td>{name}<br>") for name in "bdeac"]
    assert max(places[:2]) < places[2] < min(places[3:])
    told = [json.loads(line) for line in events.read_text().splitlines()]
    assert [told[0]["event"], told[-1]["event"]] == ["start", "end"]
    assert (told[-1]["done"], told[-1]["failed"]) == (3, 2)
    assert {each["id"] for each in told if each["event"] == "failed"} == {"b", "d"}
    assert reports[-1].fraction == 1
    assert isinstance(reports[0], Progress)


@pytest.mark.slow
def test_the_same_again_does_what_failed_alone(work, registry):
    write_table(work, a="", b="wrong")
    assert run(work, registry).failed
    write_table(work, a="", b="")
    before = (work / "out" / "a.mp4").stat().st_mtime_ns
    again = run(work, registry)
    assert (again.done, again.kept, again.failed) == (("b",), ("a",), {})
    assert (work / "out" / "a.mp4").stat().st_mtime_ns == before
    assert run(work, registry).done == ()


@pytest.mark.slow
def test_what_changed_is_told_and_done_when_that_is_asked(work, registry):
    write_table(work, a="", b="")
    run(work, registry)
    write_table(work, a="other", b="")
    told = run(work, registry)
    assert (told.done, told.changed) == ((), ("a",))
    assert run(work, registry, modified_only=True).done == ("a",)
    # The content of a file counts, not its name or time.
    sound = (work / "dub.wav").read_bytes()
    os.utime(work / "dub.wav")
    assert run(work, registry, modified_only=True).done == ()
    (work / "dub.wav").write_bytes(sound[:-2] + b"\1\0")
    assert sorted(run(work, registry, modified_only=True).done) == ["a", "b"]
    assert sorted(run(work, registry, everything=True).done) == ["a", "b"]
    assert run(work, registry, everything=True, only="b*").done == ("b",)


@pytest.mark.slow
def test_an_output_that_is_gone_is_made_again(work, registry):
    write_table(work, a="", b="")
    run(work, registry)
    (work / "out" / "b.mp4").unlink()
    assert run(work, registry).done == ("b",)


@pytest.mark.slow
def test_killed_and_resumed(work, registry):
    """The first jobs are done, the third is killed with its batch, and nothing is done twice."""
    path = write_table(work, a="", b="", c="slow", d="")
    out = work / "out"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    words = [sys.executable, "-c", DRIVER, str(path), str(out), str(registry.home)]
    process = subprocess.Popen(words, env=environment, stderr=subprocess.DEVNULL)
    try:
        slow, deadline = out / "c.mp4.tries", time.monotonic() + 120
        while not slow.exists():
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.05)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    kept = {p.name: p.read_bytes() for p in out.glob("?.mp4")}
    assert "c.mp4" not in kept
    result = run(work, registry)
    assert {f"{name}.mp4" for name in result.kept} == set(kept)
    assert sorted((*result.done, *result.kept)) == ["a", "b", "c", "d"]
    assert all((out / name).read_bytes() == data for name, data in kept.items())
    assert (out / "c.mp4").read_text() == "c 2"


@pytest.mark.slow
def test_every_problem_is_told_before_anything_begins(work, registry):
    path = work / "jobs.csv"
    path.write_text(
        "id,actor,video,audio,out\n"
        "a,mary,mary.mp4,none.wav,\n"
        "b,nobody,mary.mp4,dub.wav,\n"
        "c,mary,dub.wav,dub.wav,\n"
        "d,mary,mary.mp4,dub.wav,same.mp4\n"
        "e,mary,mary.mp4,dub.wav,Same.mp4\n"
        "f,mary,mary.mp4,dub.wav,there.mp4\n"
    )
    (work / "out").mkdir()
    (work / "out" / "there.mp4").write_bytes(b"mine")
    with pytest.raises(InvalidTableError, match="5 problems") as caught:
        run(work, registry)
    told = "\n".join(caught.value.problems)
    for words in (
        "line 2 (a): no file",
        "line 3 (b): no actor 'nobody'",
        "line 4 (c)",
        "line 6 (e): Same.mp4 is the output of 'd'",
        "line 7 (f)",
    ):
        assert words in told
    assert [each.name for each in (work / "out").iterdir()] == ["there.mp4"]
    assert (work / "out" / "there.mp4").read_bytes() == b"mine"


def test_consent_is_checked_for_every_row(work, source, tmp_path):
    registry = Registry(tmp_path / "home")
    Registry(source / "home").export("mary", tmp_path / "mary.zip", plain=True)
    registry.import_file(tmp_path / "mary.zip")
    registry.suspend("mary")
    write_table(work, a="")
    with pytest.raises(InvalidTableError, match="suspended"):
        run(work, registry)


def test_a_full_disk_is_told_before(work, registry, monkeypatch):
    class Usage:
        free = 10_000_000

    monkeypatch.setattr(batch_run.shutil, "disk_usage", lambda place: Usage)
    write_table(work, a="")
    with pytest.raises(InvalidTableError, match="GB"):
        run(work, registry)


def test_a_check_begins_nothing(work, registry):
    write_table(work, a="")
    plans = []
    run(work, registry, check=True, on_plan=plans.extend)
    assert [(plan.row.id, plan.reason, plan.is_due) for plan in plans] == [("a", "missing", True)]
    assert plans[0].seconds > 0
    assert not (work / "out").exists()


def test_a_damaged_record_and_no_fitting_job(work, registry):
    write_table(work, a="")
    with pytest.raises(DubfewError, match="no job fits"):
        run(work, registry, only="z*")
    state = BatchState(work / "out")
    state.folder.mkdir(parents=True)
    (state.folder / "a.json").write_text("{")
    with pytest.raises(InvalidTableError, match="damaged"):
        run(work, registry)
