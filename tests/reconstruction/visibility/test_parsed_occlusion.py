"""Frames are flagged where a segmenter sees something in front of the mouth."""

from __future__ import annotations

import dataclasses
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from dubfew.media import Frame, VideoInfo, VideoWriter
from dubfew.reconstruction.crop import compute_track_regions
from dubfew.reconstruction.heads.head_model import load_head_model
from dubfew.reconstruction.segmenters import FaceSegmentation
from dubfew.reconstruction.track import FLAG_MOUTH_COVERED
from dubfew.reconstruction.visibility.parsed_occlusion import flag_occluded_frames
from tests.data.people import toy_track

pytestmark = pytest.mark.slow


class BlueOccluders:
    """A segmenter that calls everything blue an object in front of the face."""

    name, has_face_parts = "blue", True

    def __call__(self, rgb, landmarks=None):
        assert max(rgb.shape) == 448
        return FaceSegmentation(
            {"background": np.zeros(rgb.shape[:2]), "worn": rgb[..., 2] / 255.0}
        )

    def close(self):
        pass


def test_frames_with_a_covered_mouth_are_flagged(tmp_path):
    track = toy_track(24)
    head = load_head_model()
    regions = compute_track_regions(track, head)
    track = dataclasses.replace(track, box=regions.box)
    source = tmp_path / "toy.mp4"
    write_clip(source, regions.hull)
    found = flag_occluded_frames(source, track, BlueOccluders(), head)
    assert np.flatnonzero(found.flags).tolist() == list(range(5, 12))
    assert (found.flags[5:12] == FLAG_MOUTH_COVERED).all()
    # A track of a part of the clip: its first row is frame 8 of the file.
    part = flag_occluded_frames(
        source, track.select(np.arange(8, 24)), BlueOccluders(), head, first_frame=8
    )
    assert np.flatnonzero(part.flags).tolist() == [0, 1, 2, 3]
    # Frame 7 without a valid face is not looked at.
    without_face = dataclasses.replace(track, valid=np.arange(24) != 7)
    flags = flag_occluded_frames(source, without_face, BlueOccluders(), head).flags
    assert not flags[7] & FLAG_MOUTH_COVERED


def write_clip(path: Path, hulls: np.ndarray) -> None:
    """Write frames with a blue object in front of the mouth in frames 5 to 11, and in 20 alone.

    Every frame has more blue beside the face and over the edge of the chin.
    """
    with VideoWriter(path, VideoInfo(path, 256, 256, Fraction(25)), lossless=True) as writer:
        for row, hull in enumerate(hulls):
            rgb = np.full((256, 256, 3), (120, 120, 0), np.uint8)
            rgb[:, :20] = rgb[int(hull[:, 1].max()) - 2 :] = (0, 0, 255)
            if 5 <= row < 12 or row == 20:
                (x0, y0), (x1, y1) = hull.min(0).astype(int), hull.max(0).astype(int)
                rgb[(y0 + y1) // 2 : y1, x0 : (x0 + x1) // 2] = (0, 0, 255)
            writer.write(Frame.from_rgb(rgb, row))
