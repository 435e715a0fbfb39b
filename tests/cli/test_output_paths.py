"""Places that outputs are written to, and places that cannot be written to."""

from __future__ import annotations

import json
import shutil
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from dubfew.media import probe
from tests.cli.jobs import QUICK, assert_failed, contents, render, run

pytestmark = pytest.mark.e2e


def test_an_output_never_replaces_an_input(home: Path, clips: Path, tmp_path: Path) -> None:
    video = Path(shutil.copy(clips / "two.mp4", tmp_path / "two.mp4"))
    speech = Path(shutil.copy(clips / "sound.wav", tmp_path / "sound.wav"))
    data = video.read_bytes()
    scene = ("render", "--actor", "two", "--video", video)
    assert_failed(run(*scene, "--drive", "self", "-o", video), "input file")
    assert_failed(run(*scene, "--audio", speech, "-o", speech), "input file")
    assert run("track", video, "-o", video).exit_code == 2
    assert video.read_bytes() == data
    linked = tmp_path / "link.safetensors"
    linked.symlink_to(video)
    assert_failed(run("track", video, "-o", linked), "input file")


def test_an_output_replaces_no_file_unasked(home: Path, clips: Path, tmp_path: Path) -> None:
    mine = tmp_path / "mine.mp4"
    track, report = mine.with_suffix(".safetensors"), mine.with_suffix(".html")
    for path in (mine, track, report):
        path.write_bytes(b"mine")
    two = clips / "two.mp4"
    assert_failed(render(clips, "two.mp4", "--drive", "self", "-o", mine), "--overwrite")
    assert_failed(run("track", two, "-o", track), "--overwrite")
    fresh = tmp_path / "new.safetensors"
    assert_failed(run("track", two, "-o", fresh, "--report", report), "--overwrite")
    assert {path.read_bytes() for path in (mine, track, report)} == {b"mine"}
    assert render(clips, "two.mp4", "--drive", "self", "-o", mine, "--overwrite").exit_code == 0
    assert probe(mine).frames == 2


def test_the_folder_of_the_output_is_created(home: Path, clips: Path) -> None:
    out = Path("new ü") / "deep" / "o.mp4"
    assert render(clips, "two.mp4", "--drive", "self", "-o", out).exit_code == 0
    assert probe(out).frames == 2


@pytest.mark.parametrize("place", ["folder.mp4", "two.mp4/o.mp4", "two.mp4/deep/o.mp4"])
def test_places_where_no_file_can_be_written(home: Path, clips: Path, place: str) -> None:
    out = clips / place
    assert_failed(render(clips, "two.mp4", "--drive", "self", "-o", out))
    assert_failed(run("track", clips / "two.mp4", "-o", out.with_name("two.mp4") / "t.safetensors"))
    assert_failed(run("actors", "export", "two", out, "--plain"))


def test_a_folder_without_permission_is_refused_before_the_work(
    home: Path, clips: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def denied(path: Path, mode: int) -> bool:
        return not str(path).startswith(str(tmp_path))

    monkeypatch.setattr("dubfew.utils.files.os.access", denied)
    line = "cannot be written to: check its permissions"
    assert_failed(run("adapt", clips / "two.mp4", *QUICK), line)
    assert_failed(render(clips, "two.mp4", "--drive", "self", "-o", "o.mp4"), line)
    assert_failed(run("track", clips / "two.mp4", "-o", "t.safetensors"), line)


def test_a_home_that_is_a_file(home: Path, clips: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DUBFEW_HOME", str(clips / "two.mp4" / "home"))
    assert_failed(run("adapt", clips / "one.mp4", *QUICK), "is a file, not a folder")
    assert run("actors", "list").exit_code == 0


@contextmanager
def full_disk(size: int) -> Iterator[None]:
    """Limit the size of files, in bytes; writing more fails as on a full disk."""
    resource = pytest.importorskip("resource")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, before)


@pytest.mark.parametrize("name", ["o.mp4", "o.webm"])
def test_a_full_disk_under_the_output(home: Path, clips: Path, name: str) -> None:
    with full_disk(40_000):  # enough for the shared memory of the registry's index
        result = render(clips, "good.mp4", "--drive", "self", "--crf", "0", "-o", name)
    assert_failed(result, "no space left", name)


def test_a_full_disk_under_a_track(home: Path, clips: Path) -> None:
    with full_disk(1000):
        assert_failed(run("track", clips / "two.mp4", "-o", "t.safetensors"), "t.safetensors")


@pytest.mark.parametrize("size", [20_000, 200_000])
def test_a_full_disk_under_the_registry(home: Path, clips: Path, size: int) -> None:
    before = contents(home)
    with full_disk(size):
        assert_failed(run("adapt", clips / "one.mp4", *QUICK), str(home))
    assert contents(home) == before
    (actor,) = json.loads(run("actors", "list", "--json").stdout)["actors"]
    assert (actor["actor"], actor["revision"]) == ("two", 1)
