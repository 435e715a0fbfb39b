"""``dubfew inspect``: what a video holds and what a render would change."""

from __future__ import annotations

import io
import json
from dataclasses import replace

import av
import pytest

from dubfew.cli.app import app
from dubfew.errors import MediaError
from dubfew.media import probe
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


def test_a_recording_without_a_stated_length_has_its_own(clip, tmp_path):
    class Pipe(io.BytesIO):
        seek = None  # nobody can go back to write the length

    pipe = Pipe()
    with av.open(str(clip)) as source, av.open(pipe, "w", format="matroska") as target:
        stream = target.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.dts is not None:
                packet.stream = stream
                target.mux(packet)
    path = tmp_path / "recording.mkv"
    path.write_bytes(pipe.getvalue())
    assert probe(path).duration == 0
    found = inspect_video(path, people=False)
    assert dict(found.describe())["Time"] == "0.12 s, 25 frames/s"
    assert found.facts.video.duration == pytest.approx(0.12, abs=1e-3)


def test_a_length_that_nobody_knows_is_said(clip):
    found = inspect_video(clip, people=False)
    facts = replace(found.facts, video=replace(found.facts.video, duration=0.0))
    assert "unknown length" in dict(replace(found, facts=facts).describe())["Time"]


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
