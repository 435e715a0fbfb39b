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
