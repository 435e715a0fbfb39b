"""What the buttons of the page do, on a real queue and registry."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from dubfew.errors import DubfewError, MediaError
from dubfew.jobs.store import JobStore
from dubfew.jobs.worker import work_off
from dubfew.page.actions import PageActions, format_facts, format_jobs, format_output, label_job
from dubfew.page.running import sweep_uploads
from dubfew.registry import Registry


@pytest.fixture
def actions(tmp_path: Path) -> PageActions:
    home = tmp_path / "home"
    source = {"source": {"path": str(tmp_path / "mary.mp4")}}
    Registry(home).create("mary", {"method": "lora", **source}, {"texture": b"content"})
    return PageActions(JobStore(home / "jobs"), "cpu", lambda: Registry(home))


@pytest.fixture
def upload(tmp_path: Path) -> Any:
    """Files as the page receives them."""

    def make(name: str) -> str:
        path = tmp_path / "received" / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"content")
        return str(path)

    return make


def test_a_dub_takes_its_files(actions: PageActions, upload: Any) -> None:
    scene, sound = upload("Scene.MOV"), upload("dub.wav")
    job = actions.dub(
        "mary", scene, sound, transcript=" Guten Tag ", language="de", face="0", preview=True
    )
    given = job.description
    assert given is not None
    assert given.video is not None
    assert (given.video.suffix, given.audio.suffix) == (".mov", ".wav")
    assert not Path(scene).exists()
    text = Path(given.options.pop("transcript")).read_text()
    assert text == "Guten Tag"
    assert given.options == {"preview": True, "device": "cpu", "language": "de", "face": "0"}
    assert label_job(job).endswith("Preview mary: waits")
    # Uploads are deleted with the job's age.
    actions.store.cancel(job.id)
    actions.store.expire(before=1e12)
    assert [*actions.store.uploads_folder().iterdir()] == []
    assert actions.jobs() == []


def test_what_is_missing_is_said(actions: PageActions, upload: Any) -> None:
    for words, call in (
        ("choose a video", lambda: actions.learn(None, "ann")),
        ("give the actor an id", lambda: actions.learn(upload("a.mp4"), " ")),
        ("give the actor an id", lambda: actions.learn(upload("a.mp4"), None)),
        ("choose an actor", lambda: actions.dub(None, None, upload("a.wav"))),
        ("choose the new speech", lambda: actions.dub("mary", None, None)),
        ("choose an actor", lambda: actions.suspend(None, "")),
        ("choose a job", lambda: actions.cancel(None)),
        ("choose a video", lambda: actions.verify(None)),
    ):
        with pytest.raises(DubfewError, match=words):
            call()


def test_files_of_a_refused_job_are_deleted(actions: PageActions, upload: Any) -> None:
    actions.suspend("mary", "asked to")
    with pytest.raises(DubfewError, match="suspended"):
        actions.dub("mary", upload("a.mp4"), upload("a.wav"), transcript="text")
    assert [*actions.store.uploads_folder().iterdir()] == []
    assert actions.jobs() == []


@pytest.mark.slow
def test_an_actor_is_described_suspended_and_deleted(actions: PageActions, upload: Any) -> None:
    actions.suspend("mary", "<b>asked</b> to")
    lines = dict(actions.describe_actor("mary"))
    assert lines["Footage"] == "mary.mp4"
    assert lines["Consent"] == "none recorded"
    assert "<b>" not in format_facts([*lines.items()])
    assert "&lt;b&gt;asked" in format_facts([*lines.items()])
    actions.resume("mary")
    assert "Suspended" not in dict(actions.describe_actor("mary"))
    # Fields that were never shown have no text.
    unseen = {"transcript": None, "language": None, "face": None}
    job = actions.dub("mary", upload("a.mp4"), upload("a.wav"), **unseen)
    with pytest.raises(DubfewError, match="type mary"):
        actions.delete("mary", "Mary")
    receipt = json.loads(actions.delete("mary", "mary"))
    assert receipt["format"] == "dubfew-erasure-receipt"
    assert actions.list_actors() == []
    assert actions.store.get(job.id).state == "expired"


def test_outcomes(actions: PageActions, upload: Any) -> None:
    one = actions.dub("mary", upload("a.mp4"), upload("a.wav"))
    two = actions.dub("mary", upload("a.mp4"), upload("a.wav"))
    assert actions.has_work()

    def run(description: Any, out: Path, *rest: Any) -> dict[str, Any]:
        if actions.store.get(two.id).state == "running":
            raise MediaError("no <face> in the scene")
        return {"output": out.name, "frames": 50, "note": "held & cut"}

    work_off(actions.store, "lease", Registry(actions.store.folder.parent), run=run, wait=False)
    assert not actions.has_work()
    table = format_jobs(actions.jobs())
    assert table.count("<tr>") == 3
    assert "100 %" in table
    done = format_output(actions.store.get(one.id))
    assert f"/outputs/{one.id}" in done
    assert f"/scenes/{one.id}" in done
    assert "held &amp; cut" in done
    assert "no &lt;face&gt; in the scene" in format_output(actions.store.get(two.id))


def test_the_curve_of_a_training(actions: PageActions, upload: Any) -> None:
    actions.learn(upload("ann.mp4"), "ann")

    def run(*rest: Any) -> dict[str, Any]:
        return {"actor": "ann", "curve": [[0, 0.0, 30.0], [50, 9.0, 32.5]]}

    work_off(actions.store, "lease", Registry(actions.store.folder.parent), run=run, wait=False)
    (job,) = actions.jobs()
    found = format_output(job)
    assert "30.0 to 32.5 dB over 50 steps" in found
    assert "points='0.0,78.0 300.0,8.0'" in found


def test_uploads_without_a_job_are_deleted(tmp_path: Path) -> None:
    (tmp_path / "ab").mkdir()
    (tmp_path / "ab" / "left.mp4").write_bytes(b"x")
    sweep_uploads(tmp_path, before=0)
    assert (tmp_path / "ab" / "left.mp4").exists()
    sweep_uploads(tmp_path, before=1e12)
    assert not (tmp_path / "ab" / "left.mp4").exists()


def test_verify_reads_and_deletes(actions: PageActions, tmp_path: Path) -> None:
    path = tmp_path / "no-video.mp4"
    path.write_text("text")
    with pytest.raises(MediaError):
        actions.verify(str(path))
    assert not path.exists()
