"""Anamorphic pictures count in square pixels, and stored samples outside of a patch stay."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from dubfew.media import Frame, VideoInfo, VideoWriter, probe, read_frames

HEIGHT, WIDTH = 48, 90
WIDE, TALL = Fraction(64, 45), Fraction(8, 9)


def disk(width: int, height: int, center: tuple[float, float], radius: float) -> np.ndarray:
    """A soft white disk on gray. [H, W, 3]"""
    y, x = np.mgrid[:height, :width] + 0.5
    level = np.clip(radius - np.hypot(x - center[0], y - center[1]), -4, 4) / 8 + 0.5
    return np.repeat((80 + 120 * level)[..., None], 3, -1).astype(np.uint8)


def squeezed(aspect: Fraction) -> Frame:
    """A frame that shows a round disk, stored with pixels of an aspect."""
    across, down = max(aspect, Fraction(1)), max(1 / aspect, Fraction(1))
    y, x = np.mgrid[:HEIGHT, :WIDTH] + 0.5
    far = np.hypot(x * float(across) - 60, y * float(down) - 25)
    level = np.clip(15 - far, -4, 4) / 8 + 0.5
    rgb = np.repeat((80 + 120 * level)[..., None], 3, -1).astype(np.uint8)
    plain = Frame.from_rgb(rgb, pix_fmt="yuv444p")
    return Frame(plain.picture, 0, plain.stamp, plain.duration, plain.color, aspect)


@pytest.mark.parametrize(("aspect", "size"), [(WIDE, (128, 48)), (TALL, (90, 54))])
def test_what_is_round_is_round(aspect, size):
    frame = squeezed(aspect)
    assert (frame.width, frame.height) == size
    assert (frame.picture.width, frame.picture.height) == (WIDTH, HEIGHT)
    round_one = disk(*size, (60, 25), 15)
    for rgb in (frame.to_rgb(), frame.to_rgb(fast=True)):
        assert np.abs(rgb.astype(int) - round_one).max() < 12
    part = frame.crop_rgb(41, 9, 83, 40)
    assert np.abs(part.astype(int) - frame.to_rgb()[9:40, 41:83]).max() <= 1


@pytest.mark.parametrize("aspect", [WIDE, TALL])
def test_paint_changes_stored_pixels_inside_of_the_mask_alone(aspect):
    frame = squeezed(aspect)
    mask = np.zeros((30, 50), bool)
    mask[5:25, 7:41] = True
    paint = np.full((30, 50, 3), 30, np.uint8)
    before, after = (
        each.as_stored().to_rgb() for each in (frame, frame.with_patch(33, 8, paint, mask))
    )
    # The mask in stored pixels: 40 to 74 across and 13 to 33 down, over the scale.
    across, down = WIDTH / frame.width, HEIGHT / frame.height
    inside = np.zeros((HEIGHT, WIDTH), bool)
    inside[
        int(np.ceil(13 * down)) : int(33 * down), int(np.ceil(40 * across)) : int(74 * across)
    ] = 1
    np.testing.assert_array_equal(after[~inside], before[~inside])
    np.testing.assert_array_equal(after[inside], 30)


@pytest.mark.parametrize("aspect", [WIDE, TALL])
def test_the_way_there_and_back_loses_hardly_anything(aspect):
    frame = squeezed(aspect)
    whole = np.ones((frame.height, frame.width), bool)
    again = frame.with_patch(0, 0, frame.crop_levels(0, 0, frame.width, frame.height), whole)
    difference = again.planes()[0].astype(int) - frame.planes()[0]
    assert np.abs(difference).max() <= 2


def test_a_file_is_read_in_square_pixels_and_written_as_it_was(tmp_path):
    frame = squeezed(WIDE)
    info = VideoInfo(
        tmp_path / "x", WIDTH, HEIGHT, Fraction(25), pix_fmt="yuv444p", sample_aspect=WIDE
    )
    path = tmp_path / "wide.mp4"
    with VideoWriter(path, info, lossless=True) as writer:
        writer.write(frame)
    found = probe(path)
    (read,) = read_frames(path)
    assert (found.width, found.height, found.square_size) == (WIDTH, HEIGHT, (128, 48))
    assert (read.width, read.height, read.aspect) == (128, 48, WIDE)
    np.testing.assert_array_equal(read.planes()[0], frame.planes()[0])


def test_a_damaged_aspect_is_no_lens():
    frame = squeezed(WIDE)
    odd = Frame(frame.picture, 0, frame.stamp, frame.duration, frame.color, Fraction(1, 90))
    assert (odd.width, odd.height) == (WIDTH, HEIGHT)


@pytest.mark.parametrize("pix_fmt", ["yuv420p10le", "yuv444p10le"])
def test_paint_has_the_steps_of_ten_bits(pix_fmt):
    ramp = np.repeat(np.linspace(60, 70, 64, dtype=np.float32)[None, :, None], 8, 0).repeat(3, -1)
    blank = Frame.from_rgb(np.full((8, 64, 3), 65, np.uint8), pix_fmt=pix_fmt)
    painted = blank.with_patch(0, 0, ramp, np.ones((8, 64), bool))
    # 10 levels of 8 bits are 34 codes of limited range in 10 bits.
    assert len(np.unique(painted.planes()[0])) == 35
    levels = painted.crop_levels(0, 0, 64, 8)
    assert np.abs(levels - ramp).max() < 0.25
    again = painted.with_patch(0, 0, levels, np.ones((8, 64), bool))
    assert np.abs(again.planes()[0].astype(int) - painted.planes()[0]).max() <= 1


def test_levels_of_eight_bits_are_those_of_the_picture():
    frame = squeezed(Fraction(1))
    np.testing.assert_array_equal(frame.crop_levels(3, 5, 60, 40), frame.crop_rgb(3, 5, 60, 40))
