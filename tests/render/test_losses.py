"""What a render says about what its output lacks."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import av
import pytest

from dubfew.media import AudioSource, VideoWriter, probe, read_frames
from dubfew.render.losses import describe_losses
from dubfew.render.sources import resolve_sources
from tests.footage import ACTOR


def sources_of(scene: Path, audio: Path | None = None, drive: str = "audio"):
    return resolve_sources({"source": {"path": str(scene)}}, drive, scene, audio, None)


@pytest.fixture
def make_scene(tmp_path, clip):
    def make(name: str, tracks: int = 1, sound: float = 0.4, **facts) -> Path:
        path = tmp_path / name
        info = replace(probe(clip), **facts)
        sounds = [AudioSource(ACTOR, duration=sound)] * tracks
        with VideoWriter(path, info, audio=sounds, preset="ultrafast") as writer:
            for frame in read_frames(clip, stop=10):
                writer.write(frame)
        return path

    return make


def test_a_copy_lacks_nothing(make_scene):
    scene = make_scene("a.mp4")
    assert describe_losses(sources_of(scene), scene) == []


@pytest.mark.slow
def test_a_replaced_track_is_named_among_others(make_scene, silence):
    scene = make_scene("a.mp4", tracks=2)
    output = make_scene("b.mp4", tracks=2)
    (line,) = describe_losses(sources_of(scene, silence(0.4)), output)
    assert line.startswith("sound track 1")
    assert line.endswith("made way for the new sound")


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".mov", ".ts"])
def test_sound_behind_the_last_frame_is_said(make_scene, tmp_path, suffix):
    # A copy of a scene whose sound lies 0.2 s later.
    plain, late = make_scene("a.mp4"), tmp_path / f"late{suffix}"
    ends = {"audio": 0.0, "video": 0.0}
    with av.open(str(plain)) as old, av.open(str(late), "w") as new:
        streams = {s.index: new.add_stream_from_template(s) for s in old.streams}
        for packet in old.demux():
            if packet.dts is None:
                continue
            ticks = round((0.5 if packet.stream.type == "audio" else 0.3) / packet.time_base)
            packet.pts, packet.dts = packet.pts + ticks, packet.dts + ticks
            end = float((packet.pts + packet.duration) * packet.time_base)
            ends[packet.stream.type] = max(ends[packet.stream.type], end)
            packet.stream = streams[packet.stream.index]
            new.mux(packet)
    (line,) = describe_losses(sources_of(late), plain)
    found = re.fullmatch(
        r"the last (0\.\d\d) s of sound track 1 \(.*\) lie behind the last frame and are cut", line
    )
    assert float(found[1]) == pytest.approx(ends["audio"] - ends["video"], abs=0.01)


def test_the_end_of_replaced_sound_is_not_missed(make_scene, silence):
    scene = make_scene("a.mp4", sound=0.8)
    assert describe_losses(sources_of(scene, silence(0.4)), make_scene("b.mp4")) == []


def test_fields_are_said(make_scene):
    scene = make_scene("a.mov", field_order=2)
    (line,) = describe_losses(sources_of(scene), scene)
    assert "interlaced" in line
    assert "bwdif" in line
