"""Scenes with two synthetic people: whose mouth is rendered."""

from __future__ import annotations

import json
import warnings
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from dubfew.adapt import ActorAdapter, actor_likeness, adapt
from dubfew.adapt.actor_likeness import ActorFace, MouthDescriptor
from dubfew.adapt.artefact import ADAPTER_CONFIG_FILE, ADAPTER_FACES_FILE
from dubfew.errors import WrongPersonError
from dubfew.media import Frame, VideoInfo, VideoWriter, read_frames
from dubfew.reconstruction.detection import people as detected_people
from dubfew.reconstruction.detection.clip_detections import detect_people
from dubfew.reconstruction.detection.upper_face import UpperFaceDescriptor
from dubfew.reconstruction.heads.head_model import load_head_model
from dubfew.registry import Registry
from dubfew.render import render
from dubfew.render import scene as scene_module
from dubfew.render.actor_matching import FaceChoice, match_actor
from tests.people import person_frames
from tests.registry.test_governance import consent

pytestmark = pytest.mark.slow

FRAMES = 12
SIDE = 192
ACTOR, OTHER, THIRD = 3, 4, 12


def filmed(person: int, *, later: bool = True, side: int = SIDE) -> np.ndarray:
    """Frames of somebody, in the same shot earlier or later. [N, side, side, 3]"""
    frames = person_frames(person, side)
    return frames[FRAMES:] if later else frames[:FRAMES]


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
def _no_network():
    with pytest.MonkeyPatch.context() as patch:
        for module in (detected_people, actor_likeness):  # whatever else is installed
            patch.setattr(module, "load_face_descriptor", UpperFaceDescriptor)
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


def choice(**wish: object) -> FaceChoice:
    return FaceChoice("zoe", **wish)


def without(adapter: ActorAdapter, *, footage: bool = False) -> ActorAdapter:
    """An actor of an older dubfew, without pictures of the face; perhaps without the footage."""
    files = adapter.to_files()
    config = json.loads(files[ADAPTER_CONFIG_FILE])
    if footage:
        config["source"]["path"] += ".gone"
    files = {**files, ADAPTER_CONFIG_FILE: json.dumps(config).encode()}
    del files[ADAPTER_FACES_FILE]
    return ActorAdapter.from_files(files)


def known_face(adapter: ActorAdapter) -> ActorFace:
    return ActorFace.from_adapter(adapter, load_head_model())


@pytest.mark.parametrize("by", ["pictures", "footage"])
def test_who_is_like_the_actor(adapter, scenes, by):
    stored = adapter if by == "pictures" else without(adapter)
    assert bool(stored.faces) == (by == "pictures")
    face = known_face(stored)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for name, left in (("left", True), ("right, small", False)):
            people = detect_people(scenes[name]).people
            person, line = match_actor(people, face, choice())
            assert (
                person.landmarks[0, 1, 0] < people[1 - person.number].landmarks[0, 1, 0]
            ) == left
            assert line == f"face {person.number} of 2 is 'zoe', by likeness"
    assert person.number == 1  # the other's face is larger
    nobody = detect_people(scenes["nobody"]).people
    with pytest.raises(WrongPersonError, match="none of the 2 faces is 'zoe'"):
        match_actor(nobody, face, choice())
    with pytest.warns(UserWarning, match="face 0 is not 'zoe'.*--anyone"):
        person, line = match_actor(nobody, face, choice(anyone=True))
    assert person.number == 0
    with pytest.warns(UserWarning, match="faces . and . are nearly alike: . is taken.*--face"):
        match_actor(detect_people(scenes["twice"]).people, face, choice())


def test_the_mouths_alone_know_the_actor(adapter, scenes):
    face = known_face(without(adapter, footage=True))
    assert isinstance(face.descriptor, MouthDescriptor)
    people = detect_people(scenes["right, small"]).people
    assert match_actor(people, face, choice())[0].number == 1


def test_a_chosen_face_must_be_the_actors_too(adapter, scenes):
    people = detect_people(scenes["right, small"]).people
    face = known_face(adapter)
    assert match_actor(people, face, choice(face="1"))[1] == ""
    with pytest.raises(WrongPersonError, match=r"face 0 is not 'zoe'.*--anyone"):
        match_actor(people, face, choice(face="0"))


def test_a_stranger_alone_is_refused_before_tracking(actor, tmp_path, monkeypatch):
    registry, _ = actor
    scene = write(tmp_path / "one.mp4", np.concatenate([filmed(OTHER)] * 6))
    monkeypatch.setattr(scene_module, "find_people", lambda *a, **b: pytest.fail("tracked"))
    with pytest.raises(WrongPersonError, match=r"the face in the scene is not 'zoe'.*--anyone"):
        render("zoe", video=scene, drive="self", out=tmp_path / "o.mp4", registry=registry)
    assert not (tmp_path / "o.mp4").exists()


def test_anyone_is_rendered_knowingly(actor, tmp_path):
    registry, _ = actor
    scene = write(tmp_path / "one.mp4", filmed(OTHER)[:6])
    with pytest.raises(WrongPersonError):  # too few pictures for the quick look
        render("zoe", video=scene, drive="self", out=tmp_path / "o.mp4", registry=registry)
    with pytest.warns(UserWarning, match="--anyone"):
        result = render("zoe", video=scene, drive="self", anyone=True, out=tmp_path / "o.mp4",
                        registry=registry)  # fmt: skip
    assert "face 0 is not 'zoe'" in result.note
    logged = [*registry.audit().iter_entries()][-1]
    assert (logged.event, logged.fields["overrides"]) == ("render", ["anyone"])


def test_the_other_face_is_left_bit_for_bit(actor, scenes, tmp_path):
    registry, _ = actor
    scene = scenes["right, small"]
    for wish, painted in ((None, slice(256, None)), ("0", slice(256))):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            result = render("zoe", video=scene, face=wish, anyone=wish is not None, drive="self",
                            lossless=True, out=tmp_path / f"{wish}.mp4",
                            registry=registry)  # fmt: skip
        assert ("by likeness" in result.note) == (wish is None)
        for before, after in zip(read_frames(scene), read_frames(result.output), strict=True):
            changed = (before.planes()[0] != after.planes()[0]).any(0)
            columns = np.flatnonzero(changed)
            assert len(columns)
            assert (columns >= painted.start if painted.start else columns < painted.stop).all()


def test_another_person_does_not_become_the_actor(actor, tmp_path):
    registry, _ = actor
    footage = write(tmp_path / "zoe.mp4", filmed(OTHER))
    with pytest.raises(WrongPersonError, match=r"'zoe' exists.*--new-person"):
        adapt(footage, steps=0, prior="warp", registry=registry)
    assert [each.number for each in registry.revisions("zoe")] == [1]
    again = Registry(tmp_path / "home")
    adapt(write(tmp_path / "own.mp4", filmed(ACTOR, later=False)), actor="zoe", steps=0,
          prior="warp", registry=again)  # fmt: skip
    again.attach_consent("zoe", consent())
    result = adapt(footage, steps=0, prior="warp", registry=again, new_person=True)
    assert "no consent" in result.note
    assert (again.open("zoe").number, again.consent("zoe")) == (3, None)
    logged = [*again.audit().iter_entries()][-1]
    assert logged.fields["overrides"] == ["new-person"]
