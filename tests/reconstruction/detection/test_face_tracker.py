"""Faces linked from frame to frame."""

from __future__ import annotations

import numpy as np

from dubfew.reconstruction.detection.face_tracker import MAX_LOST_FRAMES, FaceTracker
from dubfew.reconstruction.detection.people import cluster_tracklets
from tests.reconstruction.detection.faces import face_at

IMAGE = np.zeros((200, 400, 3), np.uint8)


def test_faces_are_linked_by_position_in_any_order():
    tracker = FaceTracker()
    for index in range(10):
        both = [face_at(100 + index, 100), face_at(300 - index, 100)]
        tracker.update(index, both[:: 1 if index % 2 else -1], IMAGE, False)
    faces = tracker.take_tracklets()
    assert [len(tracklet.frames) for tracklet in faces.tracklets] == [10, 10]
    assert all(np.ptp(faces.tracklet_landmarks(t)[:, 0, 0]) < 10 for t in faces.tracklets)
    # Faces that are seen at the same time are two people, however alike they look.
    assert len(cluster_tracklets(faces, [], 10)) == 2


def test_faces_that_cross_keep_their_tracklets():
    """One passes behind the other, who is seen throughout; faces are 40 px wide."""
    tracker = FaceTracker()
    for index in range(40):
        right, left = face_at(20 + 8 * index, 100), face_at(340 - 8 * index, 104)
        hidden = 15 <= index < 26
        tracker.update(index, [left] if hidden else [right, left], IMAGE, False)
    faces = tracker.take_tracklets()
    steps = [np.diff(faces.tracklet_landmarks(t)[:, 0, 0]) for t in faces.tracklets]
    assert [len(each) for each in steps] == [28, 39]
    assert (steps[0] > 0).all()
    assert (steps[1] < 0).all()


def test_a_face_that_stops_while_it_is_lost_goes_on():
    tracker = FaceTracker()
    for index in range(10):
        tracker.update(index, [face_at(100 + 8 * index, 100)], IMAGE, False)
    tracker.update(18, [face_at(176, 100)], IMAGE, False)
    assert len(tracker.take_tracklets().tracklets) == 1


def test_a_lost_face_goes_on_after_a_short_gap_only():
    tracker = FaceTracker()
    late = MAX_LOST_FRAMES
    for index in (0, late, 2 * late + 1):
        tracker.update(index, [face_at(100, 100)], IMAGE, False)
    assert [tracklet.frames for tracklet in tracker.take_tracklets().tracklets] == [
        [0, late],
        [2 * late + 1],
    ]


def test_tracklets_end_where_a_shot_begins():
    tracker = FaceTracker()
    for index in range(4):
        tracker.update(index, [face_at(100, 100)], IMAGE, index == 2)
    assert [t.frames for t in tracker.take_tracklets().tracklets] == [[0, 1], [2, 3]]
