"""``dubfew inspect``: what a video holds and what a render would change."""

from __future__ import annotations

import json

import pytest

from dubfew.cli.app import app
from dubfew.errors import MediaError
from dubfew.reconstruction.inspection import inspect_video
from tests.commands import CommandRunner
from tests.footage import cut


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    return cut(tmp_path_factory.mktemp("inspect") / "clip.mp4", 0, 3)


def test_people_shots_and_streams(clip):
    found = inspect_video(clip)
    lines = dict(found.describe())
    assert found.shots == 1
    assert [person["frames"] for person in found.people] == [3]
    assert "0: 3 frames" in lines["Face"]
    assert lines["Fields"] == "progressive"
    assert "sound track 1" in " ".join(line for _, line in found.describe())
    assert lines["Output"] == "everything goes into .mp4"


def test_warnings_are_those_of_the_output(clip):
    assert inspect_video(clip, "a.avi", people=False).output == ".avi"
    with pytest.raises(MediaError, match=r"cannot write \.doc"):
        inspect_video(clip, "a.doc", people=False)
    with pytest.raises(MediaError, match="does not go into"):
        inspect_video(clip, "a.webm", codec="prores", people=False)


@pytest.mark.slow
def test_the_command_prints_a_table_json_and_a_page(clip, tmp_path):
    runner = CommandRunner()
    table = runner.invoke(app, ["inspect", str(clip), "--no-people"])
    assert table.exit_code == 0
    assert "Picture" in table.stdout
    page = tmp_path / "page.html"
    found = runner.invoke(
        app, ["inspect", str(clip), "--no-people", "--json", "--report", str(page)]
    )
    assert json.loads(found.stdout)["facts"]["video"]["fps"] == "25"
    assert "Contents" in page.read_text(encoding="utf-8")
    wrong = runner.invoke(app, ["inspect", str(clip), "--report", str(tmp_path / "page.txt")])
    assert wrong.exit_code == 2
