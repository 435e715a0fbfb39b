"""Faces are followed in the part of the frame around them."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from dubfew.media import Frame, VideoInfo, VideoWriter
from dubfew.reconstruction.detection import clip_detections
from dubfew.reconstruction.detection.face_region import FaceRegion
from tests.media.pictures import smooth_rgb
from tests.people import person_frames
from tests.reconstruction.detection.faces import face_at


def gray_frame(level, index=0):
    return Frame.from_rgb(np.full((160, 320, 3), level, np.uint8), index)


def test_only_the_surroundings_of_the_face_are_read_anew():
    region = FaceRegion()
    face = face_at(80, 80)  # 40 px wide: 52 px to each side, widened to multiples of 16
    assert (region.read(gray_frame(50), None) == region.read(gray_frame(50), None)[0, 0]).all()
    rgb = region.read(gray_frame(200, 1), face)
    changed = rgb[..., 0] > 120
    rows, columns = np.nonzero(changed.any(1))[0], np.nonzero(changed.any(0))[0]
    assert (rows[0], rows[-1] + 1) == (16, 144)
    assert (columns[0], columns[-1] + 1) == (16, 144)
    assert changed[16:144, 16:144].all()
    # A face that stays needs no more; one that jumps does.
    assert region.read_around(gray_frame(200, 1), [face_at(85, 80)]) is rgb
    assert (region.read_around(gray_frame(200, 1), [face_at(150, 80)])[..., 0] > 120).all()


def test_a_face_outside_of_the_frame_and_another_size_read_all_of_it():
    region = FaceRegion()
    region.read(gray_frame(50), None)
    assert (region.read(gray_frame(200, 1), face_at(1000, 80))[..., 0] > 120).all()
    other = Frame.from_rgb(smooth_rgb(64, 32, 1))
    assert region.read(other, face_at(16, 16)).shape == (64, 32, 3)


def test_pictures_of_pixels_that_are_not_square_are_followed():
    """They are enlarged, and such an array cannot be written to."""
    region = FaceRegion()
    for number, level in enumerate((50, 200)):
        stored = gray_frame(level, number)
        wide = Frame(
            stored.picture, number, stored.stamp, stored.duration, stored.color, Fraction(2)
        )
        rgb = region.read(wide, None if number == 0 else face_at(160, 80))
    assert rgb.shape == (160, 640, 3)
    assert rgb[80, 160, 0] > 120
    assert rgb[80, 600, 0] < 120


@pytest.mark.slow
def test_landmarks_are_those_of_whole_frames(tmp_path, monkeypatch):
    path = tmp_path / "clip.mp4"
    frames = person_frames(3)[:16]
    # Larger than the surroundings of the face.
    with VideoWriter(path, VideoInfo(path, 640, 360, Fraction(25))) as writer:
        for number, rgb in enumerate(frames):
            picture = np.full((360, 640, 3), (90, 80, 70), np.uint8)
            picture[80:272, 200:392] = rgb
            writer.write(Frame.from_rgb(picture, number))
    found = clip_detections.detect_people(path)
    read_parts = []
    read = FaceRegion.read

    def read_whole(self, frame, face):
        read_parts.append(face is not None)
        return read(self, frame, None)

    monkeypatch.setattr(FaceRegion, "read", read_whole)
    whole = clip_detections.detect_people(path)
    # All but the first frame and the one in which faces are counted again.
    assert sum(read_parts) == 14
    np.testing.assert_array_equal(found.people[0].landmarks, whole.people[0].landmarks)
    np.testing.assert_array_equal(found.people[0].patches, whole.people[0].patches)
