"""Whose face is learned, and whether it becomes the one that is used."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from dubfew.adapt.actor_likeness import ActorFace
from dubfew.adapt.default_revision import describe_worse_revision, find_present_revision
from dubfew.adapt.learned_face import FacePolicy
from dubfew.errors import NoFaceError, WrongPersonError
from dubfew.reconstruction.detection.clip_detections import ClipDetections
from dubfew.reconstruction.detection.people import DetectedPerson
from dubfew.registry import Registry
from tests.reconstruction.test_likeness import Brightness, face

VIDEO = Path("v.mp4")
KNOWN = ActorFace(Brightness(), np.array([100.0], np.float32))


def person(number: int, brightness: int, x: float, frames: int = 10) -> DetectedPerson:
    return DetectedPerson(
        number=number,
        frames=np.arange(frames),
        landmarks=np.full((frames, 478, 3), x, np.float32),
        patches=np.zeros((frames, 48, 32, 3), np.uint8),
        face_width=50.0,
        crops=[face(brightness)] * 2,
    )


def clip(*people: DetectedPerson) -> ClipDetections:
    return ClipDetections(np.arange(10) / 25, (300, 200), np.zeros(10, np.int32), list(people))


def test_a_new_id_may_be_anybodys() -> None:
    policy = FacePolicy("mary", None, None)
    learned = policy.choose(VIDEO, clip(person(0, 200, 50)))
    assert learned.description == "face 0 of 1 (left, at 50,50, in 100 % of the frames)"
    assert learned.note == ""
    assert len(learned.pictures) == 2
    two = clip(person(0, 200, 150), person(1, 100, 250, 5), person(2, 90, 30, 5))
    learned = policy.choose(VIDEO, two)
    assert learned.description == (
        "face 0 of 3 (middle, at 150,150, in 100 % of the frames, 2 others left out)"
    )
    assert "learned is face 0 of 3" in learned.note
    chosen = FacePolicy("mary", "1", None).choose(VIDEO, two)
    assert "face 1 of 3 (right, at 250,250, in 50 %" in chosen.description
    with pytest.raises(NoFaceError, match=r"v\.mp4"):
        policy.choose(VIDEO, clip())


def test_an_id_that_exists_is_for_its_own_face() -> None:
    policy = FacePolicy("mary", None, KNOWN)
    assert policy.choose(VIDEO, clip(person(0, 105, 50))).note == ""
    with pytest.raises(WrongPersonError, match=r"--actor.*--new-person") as refused:
        policy.choose(VIDEO, clip(person(0, 200, 50)))
    assert "likeness 0 %" in str(refused.value)
    unclear = policy.choose(VIDEO, clip(person(0, 112, 50)))
    assert "may not be that of 'mary'" in unclear.note


def test_the_actor_among_several() -> None:
    policy = FacePolicy("mary", None, KNOWN)
    learned = policy.choose(VIDEO, clip(person(0, 200, 50), person(1, 102, 250)))
    assert learned.person.number == 1
    assert "1 other left out" in learned.note
    with pytest.raises(WrongPersonError, match="none of 2 faces is theirs"):
        policy.choose(VIDEO, clip(person(0, 200, 50), person(1, 10, 250)))
    twins = clip(person(0, 101, 50), person(1, 102, 250))
    with pytest.raises(WrongPersonError, match="--face"):
        policy.choose(VIDEO, twins)
    assert FacePolicy("mary", "1", KNOWN).choose(VIDEO, twins).person.number == 1
    with pytest.raises(WrongPersonError, match="the face is not theirs"):
        FacePolicy("mary", "0", KNOWN).choose(VIDEO, clip(person(0, 200, 50), person(1, 102, 250)))


@pytest.mark.parametrize(
    ("former", "new", "is_worse"),
    [
        (39.9, 34.8, True),
        (39.9, None, True),
        (39.9, 39.85, False),
        (39.9, 39.8, True),
        (39.9, 41.0, False),
        (None, 20.0, False),
        (None, None, False),
    ],
)
def test_a_worse_revision_is_not_used_unasked(
    tmp_path: Path, former: float | None, new: float | None, is_worse: bool
) -> None:
    registry = Registry(tmp_path / "home")
    assert find_present_revision("mary", registry) is None
    assert describe_worse_revision(None, new) == ""
    registry.create("mary", {"training": {"psnr_heldout": former}}, {})
    note = describe_worse_revision(find_present_revision("mary", registry), new)
    assert bool(note) == is_worse
    assert ("revision 1 (39.9 dB)" in note) == is_worse
