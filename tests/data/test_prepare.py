"""The order of things in `prepare_footage`, with workers that write toy clips."""

from __future__ import annotations

import csv
import hashlib
import json
import os
import signal
from pathlib import Path

import numpy as np
import pytest

from dubfew.cli.app import app
from dubfew.data import manifest as manifest_module
from dubfew.data import prepare as prepare_module
from dubfew.data.clip_index import SourceClip
from dubfew.data.executors import CLIP_EXECUTORS
from dubfew.data.footage_io import save_footage
from dubfew.data.jobs import ClipJob, ClipOutcome
from dubfew.data.prepare import prepare_footage, purge_footage
from dubfew.data.shards import ShardWriter, open_prepared_clips, read_shard, shard_paths
from dubfew.data.workers import ClipWorker
from dubfew.errors import ArtefactError, DubfewError
from dubfew.references.footage import Footage
from tests.commands import CommandRunner
from tests.data.people import toy_footage
from tests.data.test_shards import traces, write_part

SIZE = 32
NAMES = ["a/one.mp4", "b/two.mp4", "c/three.mp4", "d/four.mp4", "e/five.mp4"]


@pytest.fixture(scope="module")
def toy() -> Footage:
    return toy_footage(25, size=SIZE)


class Workers:
    """Prepares toy clips in this process; a video's bytes decide what they show."""

    def __init__(self, toy: Footage) -> None:
        self.toy = toy
        self.seen: list[str] = []
        self.kill_at: tuple[str, str] | None = None

    def footage(self, content: bytes) -> Footage:
        rng = np.random.default_rng(list(content))
        images = rng.integers(0, 256, self.toy.images.shape, np.uint8)
        vertices = rng.random(self.toy.vertices.shape, np.float32)
        return Footage(**{**vars(self.toy), "images": images, "vertices": vertices})

    def __call__(self, jobs, count, frames, *, make_worker):
        assert make_worker is ClipWorker
        # The last first: joining must not depend on who is ready when.
        for number, job in reversed(list(enumerate(jobs))):
            yield number, self.prepare(job)
            frames(25)

    def prepare(self, job: ClipJob) -> ClipOutcome:
        file = job.metadata["file"]
        self.seen.append(file)
        content = Path(job.video_path).read_bytes()
        sha256 = hashlib.sha256(content).hexdigest()
        if b"bad" in content:
            return ClipOutcome(error="no face")
        if sha256 in job.excluded:
            return ClipOutcome(excluded_sha256=sha256)
        facts = {**job.metadata, "sha256": sha256, "size": SIZE, "head": "lite"}
        part = Path(job.output_path)
        temporary = part.with_name(f".{part.stem}.dubfew-12345678.tar")
        temporary.parent.mkdir(exist_ok=True)
        write_part(part.with_name(part.stem) / part.name, self.footage(content), facts, 2).rename(
            temporary
        )
        part.with_name(part.stem).rmdir()
        if self.kill_at == ("part", file):
            os.kill(os.getpid(), signal.SIGKILL)
        temporary.rename(part)
        if self.kill_at == ("done", file):
            os.kill(os.getpid(), signal.SIGKILL)
        return ClipOutcome(num_frames=25)


@pytest.fixture
def workers(monkeypatch, toy) -> Workers:
    found = Workers(toy)
    # In place of the module's own, as if it had been imported.
    monkeypatch.setitem(CLIP_EXECUTORS._loaded, "local", found)
    return found


@pytest.fixture
def clips(tmp_path) -> Path:
    folder = tmp_path / "clips"
    for name in NAMES:
        (folder / name).parent.mkdir(parents=True)
        (folder / name).write_bytes(name.encode())
    return folder


def run(clips: Path, out: Path, **options):
    # Two toy clips fill a shard.
    return prepare_footage(clips, out, window_size=SIZE, shard_bytes=400_000, **options)


def files(out: Path) -> dict[str, str]:
    return {
        str(p.relative_to(out)): hashlib.sha256(p.read_bytes()).hexdigest()
        for p in out.rglob("*")
        if p.is_file()
    }


def test_shards_follow_the_order_of_the_clips(clips, tmp_path, workers):
    done = run(clips, tmp_path / "out")
    assert done.written == NAMES
    assert (done.identities, done.clips, done.frames) == (5, 5, 125)
    assert [header["file"] for _, header in open_prepared_clips(tmp_path / "out")] == NAMES
    assert len(shard_paths(tmp_path / "out")) == 3
    assert sorted(files(tmp_path / "out")) == [
        ".lock", "manifest.json", "shard-000000.tar", "shard-000001.tar", "shard-000002.tar",
    ]  # fmt: skip


def test_a_second_run_does_only_what_is_missing(clips, tmp_path, workers):
    run(clips, tmp_path / "out")
    before = files(tmp_path / "out")
    workers.seen.clear()
    assert run(clips, tmp_path / "out").written == []
    assert workers.seen == []
    assert files(tmp_path / "out") == before
    (clips / "new.mp4").write_bytes(b"new")
    assert run(clips, tmp_path / "out").written == ["new.mp4"]
    assert workers.seen == ["new.mp4"]


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="kills a forked process")
@pytest.mark.parametrize(
    "moment",
    [
        ("part", "d/four.mp4"),
        ("done", "d/four.mp4"),
        ("done", "a/one.mp4"),
        ("shard", "shard-000001"),
        ("joined", "shard-000001"),
        ("manifest", ""),
    ],
)
def test_a_run_killed_at_any_moment_is_completed_by_the_next(
    clips, tmp_path, workers, monkeypatch, moment
):
    run(clips, tmp_path / "whole")
    (tmp_path / "out").mkdir()
    workers.seen.clear()
    child = os.fork()
    if not child:
        workers.kill_at = moment
        real_end, real_unlink, real_write = (
            ShardWriter.close,
            Path.unlink,
            manifest_module.write_atomic,
        )

        def close(self):
            if moment == ("shard", f"shard-{self._next_number:06d}") and self._pending_parts:
                (self.folder / ".shard-000001.dubfew-abcdefgh.tar").write_bytes(b"half")
                os.kill(os.getpid(), signal.SIGKILL)
            if moment == ("joined", f"shard-{self._next_number:06d}") and self._pending_parts:
                Path.unlink = lambda path, missing_ok=False: (  # type: ignore[method-assign]
                    os.kill(os.getpid(), signal.SIGKILL)
                    if path.parent.name == ".parts"
                    else real_unlink(path, missing_ok)
                )
            real_end(self)

        def write(path, data):
            if moment[0] == "manifest":
                os.kill(os.getpid(), signal.SIGKILL)
            real_write(path, data)

        ShardWriter.close = close  # type: ignore[method-assign]
        manifest_module.write_atomic = write
        run(clips, tmp_path / "out")
        os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
    finished = {header["file"] for path in shard_paths(tmp_path / "out") for header in heads(path)}
    parts = {p.name for p in (tmp_path / "out" / ".parts").glob("[!.]*.tar")}
    run(clips, tmp_path / "out")
    assert files(tmp_path / "out") == files(tmp_path / "whole")
    assert not finished & set(workers.seen)
    assert len(workers.seen) == 5 - len(finished | {f for f in NAMES if part_of(f) in parts})


def heads(path: Path) -> list[dict]:
    return [sample.header for sample in read_shard(path)]


def part_of(file: str) -> str:
    return SourceClip(Path(), file, "").sample_key + ".tar"


def test_a_damaged_part_is_made_again(clips, tmp_path, workers):
    run(clips, tmp_path / "whole")
    parts = tmp_path / "out" / ".parts"
    parts.mkdir(parents=True)
    (parts / part_of("b/two.mp4")).write_bytes(b"half")
    (parts / "somebody else.tar").write_bytes(b"")
    run(clips, tmp_path / "out")
    assert files(tmp_path / "out") == files(tmp_path / "whole")


def test_a_failed_clip_is_reported_and_skipped(clips, tmp_path, workers):
    (clips / "b/two.mp4").write_bytes(b"bad")
    done = run(clips, tmp_path / "out")
    assert done.failed == {"b/two.mp4": "no face"}
    assert done.clips == 4
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_bytes())
    assert manifest["failed"] == {"b/two.mp4": "no face"}
    with pytest.raises(DubfewError, match=r"1 of 5 clips .* b/two\.mp4: no face"):
        run(clips, tmp_path / "out", strict=True)


def test_no_clip_at_all_is_an_error(clips, tmp_path, workers):
    for name in NAMES:
        (clips / name).write_bytes(b"bad")
    with pytest.raises(DubfewError, match="5 of 5"):
        run(clips, tmp_path / "out")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DubfewError, match="no clip to prepare"):
        run(tmp_path / "empty", tmp_path / "out")


def test_a_listed_file_that_is_not_there_is_a_failure(clips, tmp_path, workers):
    who = tmp_path / "who.csv"
    who.write_text("file,identity\na/one.mp4,Ann\nz.mp4,Zoe\n")
    done = run(clips, tmp_path / "out", identities=who)
    assert done.written == ["a/one.mp4"]
    assert "no file" in done.failed["z.mp4"]


def test_the_manifest_says_who_and_whence(clips, tmp_path, workers):
    with open(tmp_path / "who.csv", "w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["file", "identity", "source", "license"])
        rows.writerow(["a/one.mp4", "Ann", "https://example.org", "CC-BY-4.0"])
        rows.writerow(["b/two.mp4", "Ann", "https://example.org", "CC0"])
    run(clips, tmp_path / "out", identities=tmp_path / "who.csv")
    people = json.loads((tmp_path / "out" / "manifest.json").read_bytes())["identities"]
    assert people.keys() == {"Ann"}
    assert (people["Ann"]["frames"], people["Ann"]["seconds"]) == (50, 2.0)
    first = people["Ann"]["clips"][0]
    assert first["sha256"] == hashlib.sha256(b"a/one.mp4").hexdigest()
    assert (first["source"], first["license"]) == ("https://example.org", "CC-BY-4.0")


@pytest.mark.parametrize("by", ["identity", "file", "sha256"])
@pytest.mark.parametrize("when", ["before", "after", "killed"])
def test_an_excluded_person_is_not_in_the_result(clips, tmp_path, workers, by, when):
    out = tmp_path / "out"
    sha256 = hashlib.sha256(b"b/two.mp4").hexdigest()
    name = {"identity": "b", "file": "b/two.mp4", "sha256": sha256}[by]
    (tmp_path / "no.txt").write_text(f"{name} # asked\nnobody\n")
    if when != "before":
        run(clips, out)
        assert traces(out, workers.footage(b"b/two.mp4"))
    if when == "killed":  # all of it lies about in parts
        (out / ".parts").mkdir()
        for path in shard_paths(out):
            path.unlink()
        for file in NAMES:
            facts = SourceClip(clips / file, file, file[0], "train").metadata() | {
                "sha256": hashlib.sha256(file.encode()).hexdigest(),
                "bytes": len(file),
                "size": SIZE,
                "head": "lite",
            }
            write_part(out / ".parts" / part_of(file), workers.footage(file.encode()), facts, 2)
        workers.seen.clear()
    done = run(clips, out, exclude=tmp_path / "no.txt")
    assert done.excluded == ["b/two.mp4"]
    assert done.unmatched == ["nobody"]
    assert done.removed == (["b/two.mp4"] if when == "after" else [])
    assert [header["file"] for _, header in open_prepared_clips(out)] == [
        n for n in NAMES if n[0] != "b"
    ]
    assert traces(out, workers.footage(b"b/two.mp4")) == []
    assert traces(out, workers.footage(b"a/one.mp4")) == ["shard-000000.tar"]
    if when == "killed":
        assert set(workers.seen) <= {"b/two.mp4"}


def test_people_can_be_removed_without_their_videos(clips, tmp_path, workers):
    out = tmp_path / "out"
    run(clips, out)
    save_footage(out / "old.mp4.safetensors", workers.footage(b"old"), {"file": "old.mp4"})
    assert purge_footage(out, ["b", "old.mp4"]) == ["b/two.mp4", "old.mp4"]
    for gone in (b"b/two.mp4", b"old"):
        assert traces(out, workers.footage(gone)) == []
    manifest = json.loads((out / "manifest.json").read_bytes())
    assert "b" not in manifest["identities"]
    assert manifest["excluded"] == ["b/two.mp4", "old.mp4"]
    with pytest.raises(DubfewError, match="no prepared footage"):
        purge_footage(tmp_path / "nowhere", ["b"])


def test_changes_of_the_list_are_applied_to_stored_clips(clips, tmp_path, workers):
    out, who = tmp_path / "out", tmp_path / "who.csv"
    run(clips, out)
    (clips / "c/three.mp4").write_bytes(b"c/three.mp4, another take")
    who.write_text(
        "file,identity,license,split\na/one.mp4,Ann,CC0,train\nb/two.mp4,Bob,,validate\n"
        "c/three.mp4,Cy,,train\nd/four.mp4,Dan,,train\n"
    )
    workers.seen.clear()
    done = run(clips, out, identities=who)
    assert workers.seen == ["c/three.mp4"]
    assert done.removed == ["b/two.mp4", "c/three.mp4"]
    assert {h["file"]: h["identity"] for _, h in open_prepared_clips(out)} == {
        "a/one.mp4": "Ann", "c/three.mp4": "Cy", "d/four.mp4": "Dan", "e/five.mp4": "e",
    }  # fmt: skip
    assert traces(out, workers.footage(b"b/two.mp4")) == []
    assert open_prepared_clips(out)[0][1]["license"] == "CC0"


def test_clips_of_earlier_versions_are_not_prepared_again(clips, tmp_path, workers, toy):
    save_footage(tmp_path / "out" / "one.mp4.safetensors", toy, {"file": "a/one.mp4"})
    assert run(clips, tmp_path / "out").written == NAMES[1:]


def test_other_windows_need_another_folder(clips, tmp_path, workers):
    run(clips, tmp_path / "out")
    with pytest.raises(DubfewError, match="holds windows of 32 px"):
        prepare_footage(clips, tmp_path / "out", window_size=64)


def test_a_damaged_shard_is_named(clips, tmp_path, workers):
    run(clips, tmp_path / "out")
    path = tmp_path / "out" / "shard-000001.tar"
    path.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(ArtefactError, match="shard-000001"):
        run(clips, tmp_path / "out")
    path.unlink()
    run(clips, tmp_path / "out")
    assert {header["file"] for _, header in open_prepared_clips(tmp_path / "out")} == set(NAMES)


def test_two_runs_do_not_write_to_one_folder(clips, tmp_path, workers):
    with (
        prepare_module._locked_folder(tmp_path / "out"),
        pytest.raises(DubfewError, match="another run"),
    ):
        run(clips, tmp_path / "out")


def test_progress_counts_clips_and_frames(clips, tmp_path, workers):
    reports = []
    run(clips, tmp_path / "out", progress=reports.append)
    assert (reports[-1].done, reports[-1].total, reports[-1].values) == (5, 5, {"frames": 125})


def test_stopping_leaves_what_is_finished(clips, tmp_path, workers):
    def stop(progress):
        if progress.done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(clips, tmp_path / "out", progress=stop)
    workers.seen.clear()
    run(clips, tmp_path / "out")
    assert workers.seen == ["b/two.mp4", "a/one.mp4"]


def test_only_clips_that_may_be_trained_on_are_taken(tmp_path, workers):
    entries = [
        {"file": "a.mp4", "split": "validate", "weights_may_ship": True},
        {"file": "b.mp4", "split": "train", "weights_may_ship": False},
    ]
    (tmp_path / "manifest.json").write_text(json.dumps(entries))
    with pytest.raises(DubfewError, match="no clip to prepare"):
        run(tmp_path, tmp_path / "out")


def test_an_unknown_engine_is_an_error(clips, tmp_path):
    with pytest.raises(DubfewError, match=r"magic.*local, ray"):
        run(clips, tmp_path / "out", engine="magic")


@pytest.mark.slow
def test_the_command_lists_failures_and_fails_when_strict(clips, tmp_path, workers):
    (clips / "b/two.mp4").write_bytes(b"bad")
    (tmp_path / "no.txt").write_text("c # asked\n", "utf-8")
    command = ["prior", "prepare", str(clips), "-o", str(tmp_path / "out"), "--size", "32"]
    done = CommandRunner().invoke(app, [*command, "--exclude", str(tmp_path / "no.txt")])
    assert done.exit_code == 0, done.output
    assert "failed  b/two.mp4: no face" in done.output
    assert "excluded    c/three.mp4" in done.output
    assert CommandRunner().invoke(app, [*command, "--strict"]).exit_code == 1
    command = ["prior", "purge", str(tmp_path / "out"), "--exclude", str(tmp_path / "no.txt")]
    done = CommandRunner().invoke(app, [*command, "--json"])
    assert json.loads(done.output.splitlines()[-1]) == {"removed": ["c/three.mp4"]}
