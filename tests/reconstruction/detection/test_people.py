"""People of a clip: found, recognized after a cut, and chosen."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from dubfew.errors import DubfewError
from dubfew.media import Frame, VideoInfo, VideoWriter
from dubfew.reconstruction.detection import people
from dubfew.reconstruction.detection.clip_detections import detect_people
from dubfew.reconstruction.detection.face_tracker import FaceTracker
from dubfew.reconstruction.detection.people import choose_person, cluster_tracklets, find_frame_runs
from dubfew.reconstruction.detection.upper_face import UpperFaceDescriptor
from dubfew.reconstruction.heads.head_model import load_head_model
from dubfew.reconstruction.track import FLAG_OTHER_PERSON
from dubfew.reconstruction.tracking import track_person
from tests.people import person_frames
from tests.reconstruction.detection.faces import face_at

pytestmark = pytest.mark.slow

SHOT = 8
SIDE = 192


@pytest.fixture(scope="module")
def clip_of_two(tmp_path_factory) -> Path:
    """Write a clip of two people who swap sides at a cut; in the third shot one is alone."""
    one, other = (person_frames(seed, SIDE)[: 3 * SHOT] for seed in (3, 4))
    empty = np.full_like(one[:SHOT], 90)
    clip = np.concatenate(
        [
            np.concatenate([one[:SHOT], other[:SHOT]], 2),
            np.concatenate([other[SHOT : 2 * SHOT], one[SHOT : 2 * SHOT]], 2),
            np.concatenate([empty, other[2 * SHOT :]], 2),
        ]
    )
    path = tmp_path_factory.mktemp("two") / "two.mp4"
    info = VideoInfo(path, 2 * SIDE, SIDE, Fraction(25), color_range=1, colorspace=1,
                     color_primaries=1, color_trc=1)  # fmt: skip
    with VideoWriter(path, info, crf=12) as writer:
        for index, rgb in enumerate(clip):
            writer.write(Frame.from_rgb(rgb, index, 25, color=info.color))
    return path


@pytest.fixture(scope="module")
def detections(clip_of_two):
    with pytest.MonkeyPatch.context() as patch:
        # Also where dlib is installed.
        patch.setattr(people, "load_face_descriptor", UpperFaceDescriptor)
        return detect_people(clip_of_two)


def test_everyone_is_found_and_recognized_after_the_cut(detections):
    assert detections.shots.tolist() == [0] * SHOT + [1] * SHOT + [2] * SHOT
    assert [find_frame_runs(person.frames) for person in detections.people] == [
        [(0, 3 * SHOT - 1)],
        [(0, 2 * SHOT - 1)],
    ]
    first, second = detections.people
    left = second.landmarks[:, 0, 0] < SIDE
    np.testing.assert_array_equal(left, np.arange(2 * SHOT) < SHOT)  # they swapped sides
    assert (first.landmarks[:SHOT, 0, 0] > SIDE).all()
    assert (first.landmarks[SHOT : 2 * SHOT, 0, 0] < SIDE).all()


def test_the_track_is_of_the_chosen_person(clip_of_two, detections):
    track = track_person(clip_of_two, detections, "1", head=load_head_model())
    assert track.face == 1
    assert track.valid.tolist() == [True] * 2 * SHOT + [False] * SHOT
    assert (track.flags[2 * SHOT :] & FLAG_OTHER_PERSON > 0).all()
    assert not (track.flags[: 2 * SHOT] & FLAG_OTHER_PERSON).any()
    np.testing.assert_array_equal(track.shot, detections.shots)
    assert track.usable.sum() == 2 * SHOT  # other light in another shot is not an occlusion
    # On both sides of the cut the head is at the face: nothing was smoothed over the cut.
    center = track.box[: 2 * SHOT, [0, 2]].mean(1)
    assert (center[:SHOT] < SIDE).all()
    assert (center[SHOT:] > SIDE).all()


def test_people_who_cross_keep_their_identities(tmp_path, monkeypatch):
    """One passes in front of the other, within a shot: for a while one face alone is seen."""
    monkeypatch.setattr(people, "load_face_descriptor", UpperFaceDescriptor)
    one, other = (person_frames(seed, SIDE) for seed in (3, 4))
    count = 24
    places = np.linspace(0, 2 * SIDE, count).round().astype(int)
    path = tmp_path / "cross.mp4"
    info = VideoInfo(path, 3 * SIDE, SIDE, Fraction(25))
    with VideoWriter(path, info, crf=12) as writer:
        for index, place in enumerate(places):
            rgb = np.full((SIDE, 3 * SIDE, 3), 90, np.uint8)
            rgb[:, place : place + SIDE] = one[index % len(one)]
            back = 2 * SIDE - place
            rgb[:, back : back + SIDE] = other[index % len(other)]
            writer.write(Frame.from_rgb(rgb, index, 25))
    found = detect_people(path).people
    assert len(found) == 2
    # Whoever is in front goes to the left in all frames; the other one to the right, before and
    # behind the crossing.
    moves = [np.diff(person.landmarks[:, 1, 0]) for person in found]
    assert [np.sign(np.median(move)) for move in moves] == [-1, 1]
    assert all((np.sign(move) == np.sign(np.median(move))).all() for move in moves)
    assert len(found[0].frames) == count
    behind = found[1].frames
    assert (behind < 8).sum() > 6
    assert (behind >= 16).sum() > 6


def test_choose_person(detections):
    first, second = detections.people
    assert choose_person(detections.people, None) is first
    assert choose_person(detections.people, "1") is second
    largest = max(detections.people, key=lambda person: person.face_width)
    assert choose_person(detections.people, "largest") is largest
    only_second = second.landmarks[0, 1, :2]
    chosen = choose_person(
        detections.people[:1], f"{only_second[0] + SIDE:.0f},{only_second[1]:.0f}"
    )
    assert chosen is first
    with pytest.raises(DubfewError, match="2 found"):
        choose_person(detections.people, "2")
    with pytest.raises(DubfewError, match="0,0"):
        choose_person(detections.people, "0,0")
    with pytest.raises(DubfewError, match="largest"):
        choose_person(detections.people, "me")


def test_a_face_of_a_few_frames_is_not_a_person():
    tracker = FaceTracker()
    image = np.zeros((200, 400, 3), np.uint8)
    for index in range(30):
        both = [face_at(100, 100), face_at(300, 100)]
        tracker.update(index, both if index in (4, 5) else both[:1], image, False)
    found = cluster_tracklets(tracker.take_tracklets(), [], 30)
    assert [len(person.frames) for person in found] == [30]


def test_find_frame_runs():
    assert find_frame_runs(np.array([0, 1, 2, 30, 31])) == [(0, 2), (30, 31)]
    assert find_frame_runs(np.array([], np.int64)) == []
