"""A two-person, two-shot clip of synthetic people; the linking by itself."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from dubfew.errors import DubfewError
from dubfew.media import Frame, VideoInfo, VideoWriter
from dubfew.reconstruction.detection import people
from dubfew.reconstruction.detection.clip_detections import detect_people
from dubfew.reconstruction.detection.face_descriptors import PixelDescriptor
from dubfew.reconstruction.detection.face_tracker import FaceTracker
from dubfew.reconstruction.detection.multi_face_landmarker import MultiFaceLandmarker
from dubfew.reconstruction.detection.people import choose_person, cluster_tracklets, find_frame_runs
from dubfew.reconstruction.heads.head_model import load_head_model
from dubfew.reconstruction.track import FLAG_OTHER_PERSON
from dubfew.reconstruction.tracking import track_person
from dubfew.synthetic.clip import render_clip
from dubfew.synthetic.person import SyntheticPerson

SHOT = 8
SIDE = 192


@pytest.fixture(scope="module")
def two(tmp_path_factory) -> Path:
    """Both people side by side, changing sides at the cut; then the second alone."""
    one, other = (
        np.stack(list(render_clip(SyntheticPerson(seed), seconds=3 * SHOT / 25, size=SIDE).frames))
        for seed in (3, 4)
    )
    nobody = np.full_like(one[:SHOT], 90)
    clip = np.concatenate(
        [
            np.concatenate([one[:SHOT], other[:SHOT]], 2),
            np.concatenate([other[SHOT : 2 * SHOT], one[SHOT : 2 * SHOT]], 2),
            np.concatenate([nobody, other[2 * SHOT :]], 2),
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
def seen(two):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(people, "load_face_descriptor", PixelDescriptor)  # whatever else is installed
        return detect_people(two)


def test_everybody_is_found_and_known_again_after_the_cut(seen):
    assert seen.shots.tolist() == [0] * SHOT + [1] * SHOT + [2] * SHOT
    assert [find_frame_runs(person.frames) for person in seen.people] == [
        [(0, 3 * SHOT - 1)],
        [(0, 2 * SHOT - 1)],
    ]
    first, second = seen.people
    left = second.landmarks[:, 0, 0] < SIDE
    np.testing.assert_array_equal(left, np.arange(2 * SHOT) < SHOT)  # they changed sides
    assert (first.landmarks[:SHOT, 0, 0] > SIDE).all()
    assert (first.landmarks[SHOT : 2 * SHOT, 0, 0] < SIDE).all()


def test_a_track_holds_the_person_who_was_asked_for(two, seen):
    track = track_person(two, seen, "1", head=load_head_model())
    assert track.face == 1
    assert track.valid.tolist() == [True] * 2 * SHOT + [False] * SHOT
    assert (track.flags[2 * SHOT :] & FLAG_OTHER_PERSON > 0).all()
    assert not (track.flags[: 2 * SHOT] & FLAG_OTHER_PERSON).any()
    np.testing.assert_array_equal(track.shot, seen.shots)
    assert track.usable.sum() == 2 * SHOT  # other light in another shot covers nothing
    # The head is where the face is on either side of the cut: nothing was smoothed over it.
    centre = track.box[: 2 * SHOT, [0, 2]].mean(1)
    assert (centre[:SHOT] < SIDE).all()
    assert (centre[SHOT:] > SIDE).all()


def test_choosing(seen):
    first, second = seen.people
    assert choose_person(seen.people, None) is first
    assert choose_person(seen.people, "1") is second
    assert choose_person(seen.people, "largest").face_width == max(
        p.face_width for p in seen.people
    )
    only_second = second.landmarks[0, 1, :2]
    chosen = choose_person(seen.people[:1], f"{only_second[0] + SIDE:.0f},{only_second[1]:.0f}")
    assert chosen is first
    with pytest.raises(DubfewError, match="no face 2: 2 found"):
        choose_person(seen.people, "2")
    with pytest.raises(DubfewError, match="no face is ever at 0,0"):
        choose_person(seen.people, "0,0")
    with pytest.raises(DubfewError, match="give a number, largest"):
        choose_person(seen.people, "me")


def test_one_face_costs_one_search(monkeypatch):
    """Where there is one face, the landmarker for several is never started."""
    frames = list(render_clip(SyntheticPerson(3), seconds=3 / 25, size=SIDE).frames)
    with MultiFaceLandmarker() as follower:
        found = [follower(rgb, False) for rgb in frames]
        assert follower._multi_landmarker is None
    assert [len(faces) for faces in found] == [1, 1, 1]


def face_at(x: float, y: float) -> np.ndarray:
    face = np.random.default_rng(0).uniform(-20, 20, (478, 3)).astype(np.float32)
    return face + np.array([x, y, 0], np.float32)


def test_faces_are_linked_by_place_whatever_their_order():
    linker = FaceTracker()
    picture = np.zeros((200, 400, 3), np.uint8)
    for index in range(10):
        pair = [face_at(100 + index, 100), face_at(300 - index, 100)]
        linker.update(index, pair[:: 1 if index % 2 else -1], picture, False)
    seen = linker.take_tracklets()
    assert [len(passage.frames) for passage in seen.tracklets] == [10, 10]
    assert all(np.ptp(seen.tracklet_landmarks(p)[:, 0, 0]) < 10 for p in seen.tracklets)
    people = cluster_tracklets(seen, [], 10)
    assert len(people) == 2  # seen at once: they are two, however alike


def test_brief_mistakes_are_nobody():
    linker = FaceTracker()
    picture = np.zeros((200, 400, 3), np.uint8)
    for index in range(30):
        pair = [face_at(100, 100), face_at(300, 100)]
        linker.update(index, pair if index in (4, 5) else pair[:1], picture, False)
    assert [len(p.frames) for p in cluster_tracklets(linker.take_tracklets(), [], 30)] == [30]


def test_stretches():
    assert find_frame_runs(np.array([0, 1, 2, 30, 31])) == [(0, 2), (30, 31)]
    assert find_frame_runs(np.array([], np.int64)) == []
