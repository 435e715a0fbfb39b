"""Crops of videos that show several pictures."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from dubfew.errors import DubfewError
from dubfew.evaluate.crops import crop_videos, cut_crop, parse_crop
from dubfew.evaluate.face_geometry import PixelBox
from dubfew.media import Frame, VideoInfo, VideoWriter, probe, read_frames


@pytest.fixture
def mosaic(tmp_path: Path) -> Path:
    """Three frames of two pictures of noise beside each other, 48 x 32 px each."""
    path = tmp_path / "mosaic.mkv"
    noise = np.random.default_rng(0).integers(0, 256, (3, 32, 96, 3), np.uint8)
    info = VideoInfo(path, 96, 32, Fraction(25), pix_fmt="rgb24")
    with VideoWriter(path, info, lossless=True) as writer:
        for index, picture in enumerate(noise):
            writer.write(Frame.from_rgb(picture, index, 25, "rgb24"))
    return path


def test_a_crop_has_the_levels_of_its_video(mosaic: Path, tmp_path: Path):
    # An odd place and size, which pictures in 4:2:0 would not allow.
    cut_crop(mosaic, PixelBox(49, 3, 90, 30), tmp_path / "part.mkv")
    wholes, parts = (list(read_frames(path)) for path in (mosaic, tmp_path / "part.mkv"))
    assert len(parts) == 3
    for whole, part in zip(wholes, parts, strict=True):
        np.testing.assert_array_equal(part.to_rgb(), whole.to_rgb()[3:30, 49:90])
        assert part.time == pytest.approx(whole.time, abs=2e-3)


def test_original_and_output_may_be_one_video(mosaic: Path):
    with crop_videos(mosaic, mosaic, "48x32+0+0", "48x32+48+0") as files:
        assert [(probe(file).width, probe(file).height) for file in files] == [(48, 32)] * 2
        first, second = (next(iter(read_frames(file))).to_rgb() for file in files)
        whole = next(iter(read_frames(mosaic))).to_rgb()
        np.testing.assert_array_equal(np.concatenate([first, second], axis=1), whole)
    assert not files[0].exists()
    with crop_videos(mosaic, mosaic, None, None) as files:
        assert files == (mosaic, mosaic)


@pytest.mark.parametrize("text", ["360x288", "0x5+1+1", "a", "5x5+-1+0", "5x5+1+1.5"])
def test_what_is_no_crop(text: str):
    with pytest.raises(DubfewError, match=r"WIDTHxHEIGHT\+LEFT\+TOP"):
        parse_crop(text)


def test_a_crop_beyond_the_frames(mosaic: Path, tmp_path: Path):
    with pytest.raises(DubfewError, match="96 x 32 px"):
        cut_crop(mosaic, PixelBox(50, 0, 97, 10), tmp_path / "part.mkv")
