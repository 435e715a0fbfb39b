"""Scenes with two synthetic people: whose mouth is rendered."""

from __future__ import annotations

import functools
import itertools
import json
import warnings
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from dubfew.adapt import ActorAdapter, adapt
from dubfew.adapt.artefact import ADAPTER_CONFIG_FILE
from dubfew.media import Frame, VideoInfo, VideoWriter, read_frames
from dubfew.reconstruction.detection import people as detected_people
from dubfew.reconstruction.detection.clip_detections import detect_people
from dubfew.reconstruction.detection.face_descriptors import PixelDescriptor
from dubfew.reconstruction.heads.head_model import load_head_model
from dubfew.registry import Registry
from dubfew.render import actor_matching, render
from dubfew.render.actor_matching import match_actor
from dubfew.synthetic.clip import render_clip
from dubfew.synthetic.person import SyntheticPerson

FRAMES = 12
SIDE = 192
ACTOR, OTHER, THIRD = 3, 4, 12


@functools.cache
def filmed(person: int, *, later: bool = True, side: int = SIDE) -> np.ndarray:
    """Frames of somebody, in the same shot earlier or later. [N, side, side, 3]"""
    count = 2 * FRAMES if later else FRAMES
    clip = render_clip(SyntheticPerson(person), seconds=2 * FRAMES / 25, size=side)
    frames = list(itertools.islice(clip.frames, count))
    return np.stack(frames[-FRAMES:])


def write(path: Path, rgb: np.ndarray) -> Path:
    info = VideoInfo(path, rgb.shape[2], rgb.shape[1], Fraction(25), color_range=1, colorspace=1,
                     color_primaries=1, color_trc=1)  # fmt: skip
    with VideoWriter(path, info, lossless=True, preset="ultrafast") as writer:
        for index, frame in enumerate(rgb):
            writer.write(Frame.from_rgb(frame, index, 25, color=info.color))
    return path


def beside(*people: np.ndarray) -> np.ndarray:
    """Side by side, the small ones above grey."""
    height = max(rgb.shape[1] for rgb in people)
    grown = [
        np.pad(rgb, ((0, 0), (0, height - rgb.shape[1]), (0, 0), (0, 0)), constant_values=90)
        for rgb in people
    ]
    return np.concatenate(grown, 2)


@pytest.fixture(scope="module", autouse=True)
def _plain_pictures():
    with pytest.MonkeyPatch.context() as patch:
        for module in (detected_people, actor_matching):  # whatever else is installed
            patch.setattr(module, "load_face_descriptor", PixelDescriptor)
        yield


@pytest.fixture(scope="module")
def actor(tmp_path_factory) -> tuple[Registry, Path]:
    folder = tmp_path_factory.mktemp("whose")
    footage = write(folder / "footage.mp4", filmed(ACTOR, later=False))
    registry = Registry(folder / "home")
    adapt(footage, actor="zoe", steps=0, prior="warp", registry=registry)
    return registry, footage


@pytest.fixture(scope="module")
def adapter(actor) -> ActorAdapter:
    stored = actor[0].open("zoe")
    return ActorAdapter.from_files({name: stored.read(name) for name in stored.file_names()})


@pytest.fixture(scope="module")
def scenes(tmp_path_factory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("scenes")
    zoe, other = filmed(ACTOR), filmed(OTHER)
    return {
        "left": write(folder / "left.mp4", beside(zoe, other)),
        "right, small": write(folder / "right.mp4", beside(filmed(OTHER, side=256), zoe)),
        "nobody": write(folder / "nobody.mp4", beside(other, filmed(THIRD))),
        "twice": write(folder / "twice.mp4", beside(zoe, zoe)),
    }


def without_footage(adapter: ActorAdapter) -> ActorAdapter:
    files = adapter.to_files()
    config = json.loads(files[ADAPTER_CONFIG_FILE])
    config["source"]["path"] += ".gone"
    return ActorAdapter.from_files({**files, ADAPTER_CONFIG_FILE: json.dumps(config).encode()})


@pytest.mark.parametrize("by", ["footage", "mouths"])
def test_who_is_like_the_actor(adapter, scenes, by):
    stored = adapter if by == "footage" else without_footage(adapter)
    assert bool(actor_matching.sample_actor_faces(stored)) == (by == "footage")
    head = load_head_model()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for name, left in (("left", True), ("right, small", False)):
            people = detect_people(scenes[name]).people
            person, line = match_actor(people, "zoe", stored, head)
            assert (
                person.landmarks[0, 1, 0] < people[1 - person.number].landmarks[0, 1, 0]
            ) == left
            assert line == f"face {person.number} of 2 is 'zoe', by likeness"
    assert person.number == 1  # the other's face is larger
    with pytest.warns(UserWarning, match="none of 2 faces is like 'zoe': face 0 is taken"):
        person, line = match_actor(detect_people(scenes["nobody"]).people, "zoe", stored, head)
    assert person.number == 0
    assert "--face" in line
    with pytest.warns(UserWarning, match="faces . and . are nearly alike: . is taken.*--face"):
        match_actor(detect_people(scenes["twice"]).people, "zoe", stored, head)


def test_the_other_face_is_left_bit_for_bit(actor, scenes, tmp_path):
    registry, _ = actor
    scene = scenes["right, small"]
    for wish, painted in ((None, slice(256, None)), ("0", slice(256))):
        result = render("zoe", video=scene, face=wish, drive="self", lossless=True,
                        out=tmp_path / "out.mp4", registry=registry)  # fmt: skip
        assert ("by likeness" in result.note) == (wish is None)
        for before, after in zip(read_frames(scene), read_frames(result.output), strict=True):
            changed = (before.planes()[0] != after.planes()[0]).any(0)
            columns = np.flatnonzero(changed)
            assert len(columns)
            assert (columns >= painted.start if painted.start else columns < painted.stop).all()


def test_one_face_is_compared_with_nobody(actor, tmp_path, monkeypatch):
    registry, _ = actor
    monkeypatch.setattr(actor_matching, "distances_from_actor", None)
    scene = write(tmp_path / "one.mp4", filmed(OTHER)[:6])
    result = render("zoe", video=scene, drive="self", out=tmp_path / "o.mp4", registry=registry)
    assert "face" not in result.note
