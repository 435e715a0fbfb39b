"""``dubfew motion`` and ``dubfew edit`` on the command line."""

from __future__ import annotations

import json
from importlib.resources import files
from pathlib import Path

import pytest

from dubfew.takes.take import Take
from tests.cli.jobs import assert_failed, run
from tests.takes.toys import toy_take

pytestmark = pytest.mark.slow

LINE = Path(str(files("dubfew.demo") / "dub.wav"))


@pytest.fixture(autouse=True)
def _empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A working directory in which a failed job may leave nothing."""
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of files, which is not the working directory."""
    return tmp_path_factory.mktemp("takes")


@pytest.fixture
def line(folder: Path) -> Path:
    path = folder / "line.motion"
    toy_take().save(path)
    return path


def edits(path: Path) -> list[str]:
    return [each.describe() for each in Take.load(path).edits]


@pytest.mark.slow
def test_a_line_edited_and_predicted_anew(folder: Path) -> None:
    out, plot = folder / "line.motion", folder / "line.svg"
    assert run("motion", LINE, "-o", out).exit_code == 0
    done = run("edit", out, "--scale", ".8", "--offset", "40ms", "--from", ".2", "--to", ".6")
    assert done.exit_code == 0
    assert done.stdout.splitlines()[1:] == [
        "1  offset +40 ms from 0.2 s to 0.6 s",
        "2  scale 0.8 from 0.2 s to 0.6 s",
    ]
    before = Take.load(out)
    assert_failed(run("motion", LINE, "-o", out), "--overwrite")
    again = run("motion", LINE, "-o", out, "--update", "--plot", plot, "--json")
    assert len(json.loads(again.stdout.splitlines()[-1])["edits"]) == 2
    assert Take.load(out).to_bytes() == before.to_bytes()
    assert b"<svg" in plot.read_bytes()


@pytest.mark.slow
def test_every_edit_by_its_flag(line: Path, folder: Path) -> None:
    other = folder / "other.motion"
    toy_take(gap=0.2).save(other)
    for flags in (
        ("--replace", other, "--shift", "0.5s", "--from", "1", "--to", "2"),
        ("--hold", "--pose", "0.5", "--from", "2"),
        ("--close", "--to", "0.5", "--ease", "0"),
        ("--open", "0.1", "--smooth", "60ms"),
    ):
        assert run("edit", line, *flags).exit_code == 0
    assert edits(line) == [
        "replace by other moved by +0.5 s from 1 s to 2 s",
        "hold the pose of 0.5 s from 2 s to the end",
        "close from 0 s to 0.5 s",
        "open 0.1",
        "smooth 60 ms",
    ]
    other.unlink()  # the other take is in the file
    assert run("edit", line, "--undo").exit_code == 0
    assert len(edits(line)) == 4
    data = line.read_bytes()
    assert run("edit", line).exit_code == 0
    assert line.read_bytes() == data  # listing changes nothing
    copied = folder / "copied.motion"
    toy_take(gap=0.3).save(copied)
    assert run("edit", copied, "--edits-of", line).exit_code == 0
    assert edits(copied) == edits(line)
    assert run("edit", line, "--clear", "-o", folder / "new.motion").exit_code == 0
    assert edits(folder / "new.motion") == []
    assert line.read_bytes() == data


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (("--from", "1"), "name the edit"),
        (("--offset", "soon"), "40ms"),
        (("--offset", "5s"), "-2 to 2"),
        (("--close", "--from", "2", "--to", "1"), "later end"),
        (("--hold",), "needs a time"),
        (("--pose", "1", "--close"), "--hold"),
        (("--shift", "1s"), "--replace"),
        (("--undo", "--clear"), "leave out one"),
        (("--close", "-o", "line.wav"), ".motion"),
        (("--plot", "line.jpg"), ".png"),
    ],
)
def test_wrong_usage(line: Path, flags: tuple[str, ...], words: str) -> None:
    data = line.read_bytes()
    done = run("edit", line, *flags)
    assert done.exit_code == 2
    assert words in done.output
    assert line.read_bytes() == data


@pytest.mark.slow
def test_edits_that_fail(line: Path, folder: Path) -> None:
    data = line.read_bytes()
    assert_failed(run("edit", line, "--undo"), "no edit to undo")
    assert_failed(run("edit", line, "--close", "--from", "9"), "ends at")
    assert_failed(run("edit", line, "--replace", folder / "none.motion"), "no file")
    assert_failed(run("edit", LINE, "--close"), "dubfew motion")
    assert_failed(run("motion", folder / "none.wav"), "no file")
    assert line.read_bytes() == data
