"""Landmarks of several faces."""

from __future__ import annotations

from dubfew.reconstruction.detection.multi_face_landmarker import MultiFaceLandmarker
from dubfew.synthetic.clip import render_clip
from dubfew.synthetic.person import SyntheticPerson


def test_one_face_does_not_start_the_landmarker_for_several():
    frames = list(render_clip(SyntheticPerson(3), seconds=3 / 25, size=192).frames)
    with MultiFaceLandmarker() as landmarker:
        found = [landmarker(rgb, False) for rgb in frames]
        assert landmarker._multi_landmarker is None
    assert [len(faces) for faces in found] == [1, 1, 1]
