"""Dark and pale faces are found where the same faces are found in usual light."""

from __future__ import annotations

import numpy as np
import pytest

from dubfew.media import read_frames
from dubfew.reconstruction.detection.face_levels import DARKEST_FACE, PALEST_FACE, FaceLevels
from dubfew.reconstruction.detection.landmarks import FaceLandmarker
from dubfew.reconstruction.detection.multi_face_landmarker import MultiFaceLandmarker
from dubfew.reconstruction.heads.landmark_indices import OUTER_LIPS
from tests.footage import ACTOR

FRAMES = 3


@pytest.fixture(scope="module")
def pictures():
    return [frame.to_rgb() for frame in read_frames(ACTOR, stop=FRAMES)]


def lips(detect, pictures):
    """Outlines of the lips in the last frame, px. [P, 2]"""
    with detect as landmarker:
        for number, picture in enumerate(pictures):
            found = (
                landmarker(picture, number == 0)
                if isinstance(landmarker, MultiFaceLandmarker)
                else landmarker.detect_all(picture)
            )
    return found[0][list(OUTER_LIPS), :2]


@pytest.mark.slow
def test_a_dark_face_has_its_lips_where_they_are_in_usual_light(pictures):
    usual = lips(MultiFaceLandmarker(), pictures)
    dark = [(255 * (picture / 255.0) ** 4 + 0.5).astype(np.uint8) for picture in pictures]
    error, raw_error = (
        np.linalg.norm(lips(detect, dark) - usual, axis=1).mean()
        for detect in (MultiFaceLandmarker(), FaceLandmarker())
    )
    assert error < 0.75 * raw_error


def face(left, top, right, bottom):
    """Landmarks that span a box."""
    points = np.zeros((478, 3), np.float32)
    points[:, 0], points[:, 1] = np.linspace(left, right, 478), np.linspace(top, bottom, 478)
    return points


def test_usual_levels_stay_and_others_come_to_the_nearest_usual_one():
    frame = np.full((100, 100, 3), 120, np.uint8)
    levels = FaceLevels()
    levels.update(frame, [face(20, 20, 80, 80)])
    assert levels.apply(frame) is frame
    for level, wanted in ((10, DARKEST_FACE), (245, PALEST_FACE)):
        frame[20:80, 20:80] = level
        # The small face is in usual light, and does not count.
        levels.update(frame, [face(0, 0, 15, 15), face(20, 20, 80, 80)])
        assert levels.apply(frame)[50, 50, 0] == pytest.approx(255 * wanted, abs=3)
        levels.update(frame, [])  # lost for a frame
        assert levels.changes
    levels.reset()
    assert levels.apply(frame) is frame


def test_a_face_beyond_the_frame_says_nothing():
    levels = FaceLevels()
    levels.update(np.zeros((50, 50, 3), np.uint8), [face(60, 60, 90, 90)])
    assert not levels.changes
