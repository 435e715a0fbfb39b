"""Landmarks of several faces."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from PIL import Image

from dubfew.errors import NoFaceError
from dubfew.media import Frame, VideoInfo, VideoWriter
from dubfew.reconstruction.detection.landmarks import FaceLandmarker
from dubfew.reconstruction.detection.multi_face_landmarker import MultiFaceLandmarker
from dubfew.reconstruction.tracking import track_video
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


def shrink(rgb, edge, place=(400, 60)):
    """A frame of 640 x 360 with a picture of some edge in it."""
    frame = np.full((360, 640, 3), (90, 80, 70), np.uint8)
    left, top = place
    frame[top : top + edge, left : left + edge] = np.asarray(
        Image.fromarray(rgb).resize((edge,) * 2)
    )
    return frame


def test_a_face_that_is_small_in_its_frame_is_found_and_followed(tmp_path):
    frames = person_frames(3)[:3]
    with FaceLandmarker(use_tracking=False) as landmarker:
        whole = landmarker(frames[0])
        edge = round(38 / np.ptp(whole[:, 0]) * len(frames[0]))
        # The detector itself does not find it.
        assert landmarker(shrink(frames[0], edge)) is None
    # It moves by more than its cutout is wide, a cut between.
    places = [(400, 60), (404, 62), (90, 200)]
    with MultiFaceLandmarker() as landmarker:
        for number, (rgb, place) in enumerate(zip(frames, places, strict=True)):
            (face,) = landmarker(shrink(rgb, edge, place), number == 2)
            scale = edge / len(rgb)
            assert np.ptp(face[:, 0]) == pytest.approx(38, abs=5)
            expected = whole[4, :2] * scale + place  # the tip of the nose
            np.testing.assert_allclose(face[4, :2], expected, atol=3)


def test_a_face_that_is_too_small_is_refused_with_its_size(tmp_path):
    rgb = shrink(person_frames(1)[0], 68)
    path = tmp_path / "small.mp4"
    with VideoWriter(path, VideoInfo(path, 640, 360, Fraction(25))) as writer:
        for number in range(2):
            writer.write(Frame.from_rgb(rgb, number))
    with pytest.raises(NoFaceError, match=r"is (2\d|3[0-5]) px wide, and 36 are needed"):
        track_video(path)
