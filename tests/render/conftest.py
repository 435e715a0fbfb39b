"""One synthetic actor, tracked and adapted once, and scenes to render them in."""

from __future__ import annotations

import wave
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from dubfew.adapt import ActorAdapter, adapt
from dubfew.media import AudioSource, Frame, VideoWriter, probe, read_frames
from dubfew.reconstruction.track import Track
from dubfew.registry import Registry
from tests.footage import cut

FRAMES = 30


def write_scene(
    path: Path, source: Path, frames: Iterable[Frame], sound: Path | None = None
) -> Path:
    """Frames as a lossless video like ``source``, numbered anew at its rate.

    As H.264 for .mp4; in .mkv the writer may choose, which H.264's even sizes need.
    """
    info = probe(source)
    audio = None if sound is None else AudioSource(sound)
    frames = list(frames)
    info = replace(info, width=frames[0].width, height=frames[0].height)
    preset = "ultrafast" if path.suffix == ".mp4" else None
    with VideoWriter(path, info, audio=audio, lossless=True, preset=preset) as writer:
        for number, frame in enumerate(frames):
            writer.write(frame.with_time(number, number / info.fps))
    return path


def grey(like: Frame) -> Frame:
    """A frame that shows nobody."""
    rgb = np.full((like.height, like.width, 3), 128, np.uint8)
    return Frame.from_rgb(rgb, color=like.color)


@pytest.fixture(scope="session")
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("render")


@pytest.fixture(scope="session")
def clip(folder) -> Path:
    """The start of the bundled clip, with its sound."""
    return cut(folder / "actor.mp4", 0, FRAMES)


@pytest.fixture(scope="session")
def registry(folder, clip) -> Registry:
    registry = Registry(folder / "home")
    adapt(clip, steps=0, prior="warp", registry=registry)
    return registry


@pytest.fixture(scope="session")
def track(registry) -> Track:
    stored = registry.open("actor")
    adapter = ActorAdapter.from_files({name: stored.read(name) for name in stored.file_names()})
    return Track.from_bytes(adapter.track_bytes, "track")


@pytest.fixture(scope="session")
def short(folder, clip) -> Path:
    """A few frames from the clip's middle, without sound."""
    return write_scene(folder / "short.mp4", clip, read_frames(clip, start=12, stop=22))


@pytest.fixture(scope="session")
def brief(folder, clip) -> Path:
    """Five of these frames, where the length does not matter."""
    return write_scene(folder / "brief.mp4", clip, read_frames(clip, start=12, stop=17))


@pytest.fixture
def silence(tmp_path) -> Callable[[float], Path]:
    def make(seconds: float) -> Path:
        path = tmp_path / "silence.wav"
        with wave.open(str(path), "wb") as file:
            file.setnchannels(1)
            file.setsampwidth(2)
            file.setframerate(16000)
            file.writeframes(bytes(2 * round(16000 * seconds)))
        return path

    return make
