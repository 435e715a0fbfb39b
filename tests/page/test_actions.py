"""What the buttons of the page do, on a real queue and registry."""

from __future__ import annotations

import json
import zipfile
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dubfew.errors import DubfewError, MediaError
from dubfew.jobs.description import JobDescription
from dubfew.jobs.store import JobStore
from dubfew.jobs.worker import work_off
from dubfew.media import Frame, VideoInfo, VideoWriter
from dubfew.page.actions import PageActions, format_facts, format_jobs, format_output, label_job
from dubfew.page.running import sweep_uploads
from dubfew.page.studies import evaluate_study, make_study_archive
from dubfew.registry import Registry
from tests.footage import cut


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


def film(path: str, width: int = 64) -> str:
    """Write two gray frames over a file. Returns its path."""
    rate = Fraction(25)
    with VideoWriter(
        Path(path), VideoInfo(Path(path), width, 64, rate), preset="ultrafast"
    ) as video:
        for number in range(2):
            gray = np.full((64, width, 3), 90, np.uint8)
            video.write(Frame.from_rgb(gray, number, rate))
    return path


def test_one_upload_in_several_tabs(actions: PageActions, upload: Any) -> None:
    # Gradio keeps equal files as one.
    path = upload("dub.wav")
    jobs = [actions.dub("mary", upload("scene.mov"), path) for _ in range(2)]
    first, second = (job.description.audio for job in jobs if job.description is not None)
    assert first != second
    assert first.read_bytes() == second.read_bytes() == b"content"
    for job in jobs:
        actions.store.cancel(job.id)
    actions.store.expire(before=1e12)
    with pytest.raises(DubfewError, match=r"dub\.wav is no longer here: choose it again"):
        actions.dub("mary", upload("scene.mov"), path)


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


def test_a_comparison_and_its_pages(actions: PageActions, upload: Any) -> None:
    for words, call in (
        ("original", lambda: actions.compare(None, [upload("b.mp4")])),
        ("dubbed", lambda: actions.compare(upload("a.mp4"), [])),
        ("5 at most", lambda: actions.compare(upload("a.mp4"), [upload("b.mp4")] * 6)),
        ("no view", lambda: actions.compare(upload("a.mp4"), [upload("b.mp4")], "above")),
    ):
        with pytest.raises(DubfewError, match=words):
            call()
    original, narrow = film(upload("a.mp4")), film(upload("dub.mp4"), 32)
    with pytest.raises(DubfewError, match="is 32 x 64 px but the original 64 x 64"):
        actions.compare(original, [narrow], "wipe", True)
    other = str(Path(upload("x.mp4")).rename(Path(upload("x.mp4")).parent.parent / "dub.mp4"))
    outputs = [film(upload("dub.mp4")), film(other)]
    job = actions.compare(film(upload("a.mp4")), outputs, "wipe", True)
    given = job.description
    assert given is not None
    assert [*given.outputs] == ["dub.mp4", "dub.mp4 (2)"]
    assert JobDescription.from_json(given.to_json()) == given
    assert given.options == {"view": "wipe", "measure": True}
    assert label_job(job).endswith("Compare dub.mp4, dub.mp4 (2): waits")

    def run(description: JobDescription, out: Path, *rest: Any) -> dict[str, Any]:
        return {"output": out.name, "frames": 5, "pages": {"<dub>.mp4": "page0.html"}}

    work_off(actions.store, "lease", Registry(actions.store.folder.parent), run=run, wait=False)
    shown = format_output(actions.store.get(job.id))
    assert f"href='/pages/{job.id}/0'" in shown
    assert "Measures of &lt;dub&gt;.mp4" in shown
    assert "/scenes/" not in shown


@pytest.mark.slow
def test_a_study_is_packed_and_evaluated(tmp_path: Path) -> None:
    def clip(folder: str) -> str:
        (tmp_path / folder).mkdir(exist_ok=True)
        return str(cut(tmp_path / folder / "clip.mp4", 0, 4))

    for words, systems in (
        ("system 2 a name", [("ours", [clip("one")]), (" ", [clip("two")])]),
        ("videos of theirs", [("ours", [clip("one")]), ("theirs", [])]),
        ("one name", [("ours", [clip("one")]), ("ours ", [clip("two")])]),
    ):
        with pytest.raises(DubfewError, match=words):
            make_study_archive(tmp_path, systems, catch=0)
    systems = [("ours", [clip("one")]), ("theirs", [clip("two")])]
    sentence, archive = make_study_archive(tmp_path, systems, catch=0, title="Which?")
    assert sentence.startswith("1 trials. Give viewers the folder page")
    assert not (tmp_path / "one" / "clip.mp4").exists()
    with zipfile.ZipFile(archive) as packed:
        key = json.loads(packed.read("key.json"))
        assert '"title": "Which?"' in packed.read("page/study.js").decode()
    (trial,) = key["trials"]
    ours = trial["media"][trial["systems"].index("ours")]
    answers = tmp_path / "answers.csv"
    answers.write_text(
        "study,participant,trial,left,right,question,answer,seconds\n"
        f"{key['study']},ann,{trial['id']},{trial['media'][0]},{trial['media'][1]},0,{ours},3\n"
    )
    text = evaluate_study(str(archive), [str(answers)])
    assert "| ours | theirs | 1 of 1 | 100 % | 3 to 100 % |" in text
    (tmp_path / "key.json").write_text(json.dumps(key))
    assert evaluate_study(str(tmp_path / "key.json"), [str(answers)]) == text
    for words, key_file, files in (
        ("archive", None, [str(answers)]),
        ("viewers saved", str(archive), []),
        ("no key", str(answers), [str(answers)]),
    ):
        with pytest.raises(DubfewError, match=words):
            evaluate_study(key_file, files)


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
