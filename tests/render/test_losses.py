"""What a render says about what its output lacks."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from dubfew.media import AudioSource, VideoWriter, probe, read_frames
from dubfew.render.losses import describe_losses
from dubfew.render.sources import resolve_sources
from tests.footage import ACTOR


def sources_of(scene: Path, audio: Path | None = None, drive: str = "audio"):
    return resolve_sources({"source": {"path": str(scene)}}, drive, scene, audio, None)


@pytest.fixture
def make_scene(tmp_path, clip):
    def make(name: str, tracks: int = 1, lead: float = 0.0, **facts) -> Path:
        path = tmp_path / name
        info = replace(probe(clip), **facts)
        sounds = [AudioSource(ACTOR, duration=0.4)] * tracks
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


def test_fields_are_said(make_scene):
    scene = make_scene("a.mov", field_order=2)
    (line,) = describe_losses(sources_of(scene), scene)
    assert "interlaced" in line
    assert "bwdif" in line
