"""Faces on their side and upside down are found where the same faces are found upright."""

from __future__ import annotations

import numpy as np
import pytest

from dubfew.reconstruction.detection.face_turns import (
    MIN_ROLL_DEGREES,
    FaceTurns,
)
from dubfew.reconstruction.detection.multi_face_landmarker import MultiFaceLandmarker
from dubfew.reconstruction.heads.landmark_indices import EYE_CORNERS
from tests.people import person_frames


def turned_marks(marks, turns, width, height):
    """Landmarks after quarter turns of their picture against the clock. [N, 3]"""
    for _ in range(turns):
        marks = np.stack([marks[:, 1], width - marks[:, 0], marks[:, 2]], 1)
        width, height = height, width
    return marks


@pytest.mark.slow
@pytest.mark.parametrize("turns", [1, 2, 3])
def test_a_turned_face_has_the_landmarks_of_the_upright_one(turns):
    frames = [frame[20:] for frame in person_frames(3)[:3]]
    turned = [np.ascontiguousarray(np.rot90(frame, turns)) for frame in frames]
    found = []
    for pictures in (frames, turned):
        with MultiFaceLandmarker() as landmarker:
            marks = [landmarker(picture, number == 0) for number, picture in enumerate(pictures)]
            assert np.array_equal(landmarker.followed_face, marks[-1][0])
        found.append(np.stack([faces[0] for faces in marks]))
    height, width = frames[0].shape[:2]
    for upright, marks in zip(*found, strict=True):
        away = np.linalg.norm((marks - turned_marks(upright, turns, width, height))[:, :2], axis=1)
        assert away.mean() < 0.004 * np.ptp(upright[:, 0])


def face(roll, middle=(50.0, 40.0)):
    """Landmarks whose eyes lie on a line of some roll, clockwise, degrees. [478, 3]"""
    points = np.zeros((478, 3), np.float32)
    direction = np.array([np.cos(np.radians(roll)), np.sin(np.radians(roll))])
    points[EYE_CORNERS[0], :2], points[EYE_CORNERS[1], :2] = (
        middle + side * direction for side in (-10, 10)
    )
    return points


def test_heads_that_lean_do_not_turn_frames_to_and_fro():
    turns = FaceTurns()
    assert not turns.update([face(MIN_ROLL_DEGREES - 1)])
    assert turns.update([face(MIN_ROLL_DEGREES + 1)])
    assert turns.count == 1
    # It leans back over the middle, and the frames stay turned.
    assert not turns.update([face(35)])
    assert not turns.update([])
    assert turns.update([face(25)])
    assert turns.count == 0
    turns.update([face(178)])
    assert turns.count == 2


@pytest.mark.parametrize("roll", [0, 90, 180, 270])
def test_landmarks_come_back_to_the_frame(roll):
    frame = np.zeros((80, 120, 3), np.uint8)
    marks = face(roll)
    for corner, level in zip(EYE_CORNERS, (100, 200), strict=True):
        column, row = np.floor(marks[corner, :2]).astype(int)
        frame[row, column] = level
    turns = FaceTurns()
    turns.update([marks])
    upright = turns.apply(frame)
    rows, columns = np.nonzero(upright[..., 0])
    seen = dict(zip(upright[rows, columns, 0], zip(columns, rows, strict=True), strict=True))
    assert seen[100][1] == seen[200][1]
    assert seen[100][0] < seen[200][0]
    placed = marks.copy()
    for corner, level in zip(EYE_CORNERS, (100, 200), strict=True):
        placed[corner, :2] = np.array(seen[level]) + 0.5
    (back,) = turns.restore([placed], frame.shape)
    away = back[list(EYE_CORNERS), :2] - np.floor(marks[list(EYE_CORNERS), :2]) - 0.5
    assert np.abs(away).max() < 1e-4
