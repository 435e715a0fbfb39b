"""Landmarks of several faces."""

from __future__ import annotations

import pytest

from dubfew.reconstruction.detection.multi_face_landmarker import MultiFaceLandmarker
from tests.people import person_frames

pytestmark = pytest.mark.slow


def test_one_face_does_not_start_the_landmarker_for_several(capfd):
    frames = person_frames(3)[:3]
    with MultiFaceLandmarker() as landmarker:
        found = [landmarker(rgb, number == 1) for number, rgb in enumerate(frames)]
        assert landmarker._multi_landmarker is None
    assert [len(faces) for faces in found] == [1, 1, 1]
    # Neither the start of a graph nor a new shot, which starts it again, leaves a line.
    assert capfd.readouterr().err == ""
