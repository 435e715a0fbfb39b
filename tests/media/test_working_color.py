"""HDR and wide gamuts in one working color, through linear light."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from dubfew.media import ColorTags, Frame, VideoInfo, VideoWriter, read_frames
from dubfew.media.working_color import (
    decode_hlg,
    decode_pq,
    describe_working_color,
    encode_hlg,
    encode_pq,
    find_working_color,
)

PQ, HLG = ColorTags(1, 9, 9, 16), ColorTags(1, 9, 9, 18)
WIDE, P3 = ColorTags(1, 9, 9, 14), ColorTags(1, 1, 12, 1)
SKIN = np.array([[[188, 140, 118], [92, 61, 50], [214, 205, 190], [120, 40, 45]]], np.uint8)


def test_values_of_the_recommendations():
    """BT.2100 and BT.2408: 58 % PQ and 75 % HLG are 203 cd/m2."""
    assert float(encode_pq(np.array(203.0))) == pytest.approx(0.58, abs=2e-3)
    assert float(encode_pq(np.array(10_000.0))) == 1
    assert float(decode_pq(np.array(0.5081))) == pytest.approx(100, rel=2e-3)
    assert decode_hlg(np.full((1, 3), 0.75))[0] == pytest.approx([203] * 3, rel=1e-2)
    assert decode_hlg(np.ones((1, 3)))[0] == pytest.approx([1000] * 3, rel=1e-3)


def test_curves_are_each_others_inverse():
    codes = np.linspace(0.02, 1, 50)
    assert encode_pq(decode_pq(codes)) == pytest.approx(codes, abs=1e-6)
    colors = np.random.default_rng(0).uniform(0.1, 0.9, (50, 3))
    assert encode_hlg(decode_hlg(colors)) == pytest.approx(colors, abs=1e-4)


@pytest.mark.parametrize("color", [PQ, HLG, WIDE, P3])
def test_skin_goes_there_and_back(color):
    conversion = find_working_color(color)
    skin = SKIN.astype(np.float32) / 255
    code = conversion.from_working(skin)
    assert conversion.to_working(code) == pytest.approx(skin, abs=2e-3)
    # Diffuse white is what HDR shows at 203 cd/m2, and no color of its own.
    white = conversion.from_working(np.full((1, 3), 0.5, np.float32))[0]
    assert np.ptp(white) < 1e-3


@pytest.mark.parametrize(
    "tags", [(0, 2, 2, 2), (1, 1, 1, 1), (1, 6, 6, 6), (1, 5, 5, 6), (2, 1, 1, 13)]
)
def test_sdr_is_left_as_it_is(tags):
    assert find_working_color(ColorTags(*tags)) is None
    assert describe_working_color(ColorTags(*tags)) == ""


def test_wide_primaries_turn_skin_neither_red_nor_grey():
    """BT.2020 code values of skin are less colorful than those of BT.709."""
    code = find_working_color(WIDE).from_working(SKIN.astype(np.float32) / 255)
    assert np.ptp(code[0, 0]) < np.ptp(SKIN[0, 0] / 255)


@pytest.mark.parametrize("color", [PQ, HLG, WIDE])
@pytest.mark.parametrize("pix_fmt", ["yuv420p10le", "yuv444p10le"])
def test_frames_come_and_go_in_working_color(color, pix_fmt):
    rgb = SKIN.repeat(8, 0).repeat(8, 1)
    frame = Frame.from_rgb(rgb, pix_fmt=pix_fmt, color=color)
    assert np.abs(frame.to_rgb().astype(int) - rgb).max() <= 3
    assert np.array_equal(frame.crop_rgb(3, 1, 19, 7), frame.to_rgb()[1:7, 3:19])
    assert np.abs(frame.to_rgb(fast=True).astype(int) - rgb).mean() < 16
    # What was not painted is the decoder's, bit for bit.
    mask = np.zeros(rgb.shape[:2], bool)
    mask[2:6, 8:16] = True
    painted = frame.with_patch(0, 0, rgb // 2, mask)
    outside = ~mask
    assert np.array_equal(painted.planes()[0][outside], frame.planes()[0][outside])
    assert np.abs(painted.to_rgb()[2:6, 9:15].astype(int) - (rgb // 2)[2:6, 9:15]).max() <= 3


def test_an_hdr_file_shows_what_was_written(tmp_path: Path):
    path = tmp_path / "a.mp4"
    info = VideoInfo(path, 128, 96, 25, pix_fmt="yuv420p10le", color_range=1, colorspace=9,
                     color_primaries=9, color_trc=16)  # fmt: skip
    rgb = np.broadcast_to(SKIN[0, 0], (96, 128, 3)).copy()
    with VideoWriter(path, info) as writer:
        writer.write(Frame.from_rgb(rgb, pix_fmt=info.pix_fmt, color=info.color))
    assert np.abs(next(read_frames(path)).to_rgb().astype(int) - rgb).max() <= 3
    assert "PQ, BT.2020" in describe_working_color(info.color)
