"""Fields: each is read as a frame of its own, and two are woven into a frame again."""

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

from dubfew.media import Frame, VideoInfo, VideoWriter, probe, read_frames
from dubfew.media.field_search import find_field_order
from dubfew.media.field_splitting import count_painted_frames, count_woven, weave_fields
from dubfew.media.fields import stated_fields
from dubfew.media.reading import read_last_duration

TOP_FIRST, BOTTOM_FIRST = 2, 3


def draw(time, width=64, height=48):
    """A bright bar that moves by 3 px from field to field. [H, W, 3]"""
    rgb = np.full((height, width, 3), 60, np.uint8)
    left = 8 + 3 * time
    rgb[:, left : left + 12] = 200
    return rgb


@pytest.fixture
def make_video(tmp_path):
    def make(order, frames=4, step=1, pix_fmt="yuv422p", name="a.mkv"):
        """Frames whose first field is of time 2k, and whose second is ``step`` later."""
        path = tmp_path / name
        info = VideoInfo(path, 64, 48, Fraction(25), pix_fmt=pix_fmt, field_order=order)
        late = 1 if order == TOP_FIRST else 0
        with VideoWriter(path, info, codec="ffv1") as writer:
            for index in range(frames):
                rgb = draw(2 * index)
                rgb[late::2] = draw(2 * index + step)[late::2]
                writer.write(Frame.from_rgb(rgb, index, 25, pix_fmt))
        return path

    return make


@pytest.mark.parametrize(("order", "pix_fmt"), [(TOP_FIRST, "yuv422p"), (BOTTOM_FIRST, "yuv420p")])
def test_fields_are_frames_at_their_own_times_and_weave_to_the_same_bits(
    make_video, order, pix_fmt
):
    path = make_video(order, pix_fmt=pix_fmt)
    whole = list(read_frames(path))
    assert find_field_order(probe(path)) == order
    with stated_fields(path, order):
        info, fields = probe(path), list(read_frames(path))
        assert read_last_duration(path) == Fraction(1, 50)
        assert (len(list(read_frames(path, whole=True))), probe(path, whole=True).fps) == (4, 25)
        assert [f.index for f in read_frames(path, start=3, stop=6)] == [3, 4, 5]
    assert (info.fps, info.field_order) == (50, 1)
    assert [f.stamp for f in fields] == [Fraction(k, 50) for k in range(8)]
    # The bar is where it was at the field's time, in all lines, a blurred edge aside.
    for time, frame in enumerate(fields[1:-1], 1):
        luma = frame.planes()[0]
        bright = np.flatnonzero(np.median(luma, 0) > 130)
        assert (bright[0], bright[-1]) == (8 + 3 * time, 19 + 3 * time)
    woven = list(weave_fields(fields, order))
    assert [(f.index, f.stamp, f.duration) for f in woven] == [
        (k, Fraction(k, 25), Fraction(1, 25)) for k in range(4)
    ]
    for before, after in zip(whole, woven, strict=True):
        for a, b in zip(before.planes(), after.planes(), strict=True):
            np.testing.assert_array_equal(a, b)


def test_paint_of_one_field_stays_in_its_lines(make_video):
    path = make_video(TOP_FIRST)
    with stated_fields(path, TOP_FIRST):
        first, second = read_frames(path, stop=2)
    painted = second.with_patch(0, 0, np.full((48, 64, 3), 10, np.uint8), np.ones((48, 64), bool))
    (woven,) = weave_fields([first, painted], TOP_FIRST)
    luma = woven.planes()[0]
    np.testing.assert_array_equal(luma[::2], first.planes()[0][::2])
    assert luma[1::2].max() < 30


def test_film_in_a_file_that_is_flagged_as_interlaced_has_no_fields(make_video):
    assert find_field_order(probe(make_video(TOP_FIRST, step=0))) == 0
    progressive = replace(probe(make_video(TOP_FIRST, name="b.mkv")), field_order=1)
    assert find_field_order(progressive) == 0


def test_a_last_field_without_a_partner_makes_a_frame(make_video):
    path = make_video(BOTTOM_FIRST)
    with stated_fields(path, BOTTOM_FIRST):
        fields = list(read_frames(path, stop=3))
    assert [f.duration for f in weave_fields(fields, BOTTOM_FIRST)] == [Fraction(1, 25)] * 2
    assert (count_woven(3, BOTTOM_FIRST), count_woven(3, 0)) == (2, 3)
    painted = np.array([True, False, False, False, True])
    assert (count_painted_frames(painted, TOP_FIRST), count_painted_frames(painted, 0)) == (2, 2)
    assert count_painted_frames(np.array([False, True, False, False]), TOP_FIRST) == 1
