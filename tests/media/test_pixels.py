"""Colors and patches: exact where they must be, and consistent in both directions."""

from __future__ import annotations

from fractions import Fraction

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dubfew.errors import ShapeError
from dubfew.media import ColorTags, Frame
from dubfew.media.pixels import NATIVE_FORMATS, native_format_name
from tests.media.pictures import noise_planes, smooth_rgb

FORMATS = sorted(NATIVE_FORMATS)
YUV = [name for name in FORMATS if NATIVE_FORMATS[name].is_yuv]


def noise_frame(name: str, width: int, height: int, seed: int, color: ColorTags) -> Frame:
    picture = av.VideoFrame(width, height, name)
    noise_planes(picture, np.random.default_rng(seed), NATIVE_FORMATS[name].bits)
    return Frame(picture, 0, Fraction(0), Fraction(1, 25), color)


def reference_rgb(frame: Frame, red: float, blue: float, full: bool) -> np.ndarray:
    """YUV to RGB in floats as specified (ITU-T H.273), chroma repeated."""
    form = NATIVE_FORMATS[frame.pix_fmt]
    planes = frame.planes()
    y, chroma = planes[0].astype(float), planes[1:]
    if form.kind == "nv12":
        chroma = (chroma[0][..., 0], chroma[0][..., 1])
    u, v = (
        c.astype(float).repeat(form.sub_y, 0).repeat(form.sub_x, 1)[: y.shape[0], : y.shape[1]]
        for c in chroma
    )
    step = 2.0 ** (form.bits - 8)
    top = 255 * step  # swscale's full range; H.273 has 1023 for 1020 in 10 bits
    if full:
        y, u, v = y / top, (u - 128 * step) / top, (v - 128 * step) / top
    else:
        y, u, v = (y / step - 16) / 219, (u / step - 128) / 224, (v / step - 128) / 224
    r, b = y + 2 * (1 - red) * v, y + 2 * (1 - blue) * u
    g = (y - red * r - blue * b) / (1 - red - blue)
    return np.clip(np.stack([r, g, b], -1), 0, 1) * 255


@pytest.mark.parametrize("name", YUV)
@pytest.mark.parametrize(
    ("matrix", "red", "blue"), [(1, 0.2126, 0.0722), (6, 0.299, 0.114), (9, 0.2627, 0.0593)]
)
@pytest.mark.parametrize("range_tag", [1, 2])
@pytest.mark.parametrize("size", [(32, 24), (33, 25)])
def test_rgb_follows_the_tags(name, matrix, red, blue, range_tag, size) -> None:
    frame = noise_frame(name, *size, 1, ColorTags(range_tag, matrix))
    full = range_tag == 2 or NATIVE_FORMATS[name].full_range
    error = frame.to_rgb() - reference_rgb(frame, red, blue, full)
    assert np.abs(error).max() <= 1.5
    assert np.abs(error).mean() < 0.3
    assert abs(error.mean()) < 0.05  # swscale's default path is a level too dark


@pytest.mark.parametrize(("height", "matrix"), [(718, 6), (720, 1)])
def test_untagged_matrix_goes_by_lines(height: int, matrix: int) -> None:
    untagged = noise_frame("yuv420p", 32, height, 2, ColorTags())
    tagged = Frame(untagged.picture, 0, Fraction(0), Fraction(1), ColorTags(1, matrix))
    assert np.array_equal(untagged.to_rgb(), tagged.to_rgb())
    # A crop has fewer lines than its frame and must not decide by its own.
    assert np.array_equal(untagged.crop_rgb(0, 0, 32, 20), tagged.to_rgb()[:20])


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("color", [ColorTags(), ColorTags(2, 1), ColorTags(1, 6)])
def test_patching_back_what_was_read_changes_nothing(name: str, color: ColorTags) -> None:
    frame = Frame.from_rgb(smooth_rgb(40, 48, 3), pix_fmt=name, color=color)
    if name == "gray":
        gray = frame.to_rgb()
        frame = Frame.from_rgb(gray, pix_fmt=name, color=color)
    again = frame.with_patch(0, 0, frame.to_rgb(), np.ones((40, 48), bool))
    step = 2 ** (NATIVE_FORMATS[name].bits - 8)
    for old, new in zip(frame.planes(), again.planes(), strict=True):
        difference = np.abs(old.astype(int) - new.astype(int))
        # RGB has 8 bits; colors that leave it are cut there, at most a few levels.
        assert difference.mean() < 0.5 * step
        assert difference.max() <= 2 * step


@pytest.mark.parametrize("name", [name for name in FORMATS if name != "gray"])
def test_from_rgb_keeps_flat_colors(name: str) -> None:
    rng = np.random.default_rng(5)
    rgb = rng.integers(0, 256, (12, 16, 3)).astype(np.uint8).repeat(2, 0).repeat(2, 1)
    error = np.abs(Frame.from_rgb(rgb, pix_fmt=name).to_rgb().astype(int) - rgb)
    assert error.max() <= 2
    assert error.mean() < 0.7


@pytest.mark.slow
@settings(max_examples=120, deadline=None)
@given(data=st.data(), name=st.sampled_from(FORMATS), seed=st.integers(0, 2**16))
def test_patch_touches_only_what_the_mask_covers(data, name: str, seed: int) -> None:
    width, height = data.draw(st.integers(1, 21)), data.draw(st.integers(1, 21))
    left, top = data.draw(st.integers(0, width - 1)), data.draw(st.integers(0, height - 1))
    w, h = data.draw(st.integers(1, width - left)), data.draw(st.integers(1, height - top))
    rng = np.random.default_rng(seed)
    frame = noise_frame(name, width, height, seed, ColorTags(seed % 3, 1))
    before = [plane.copy() for plane in frame.planes()]
    mask = rng.random((h, w)) < rng.choice([0.05, 0.5, 1.0])
    rgb = rng.integers(0, 256, (h, w, 3), dtype=np.uint8)
    patched = frame.with_patch(left, top, rgb, mask)

    whole = np.zeros((height, width), bool)
    whole[top : top + h, left : left + w] = mask
    form = NATIVE_FORMATS[name]
    padded = np.pad(whole, ((0, height % 2), (0, width % 2)))
    for number, (old, new) in enumerate(zip(frame.planes(), patched.planes(), strict=True)):
        assert np.array_equal(old, before[number]), "the source frame was changed"
        touched = whole
        if number and form.is_yuv and (form.sub_x, form.sub_y) != (1, 1):
            rows = padded[0::2] | padded[1::2] if form.sub_y == 2 else padded[:height]
            touched = rows[:, 0::2] | rows[:, 1::2]
        assert np.array_equal(old[~touched], new[~touched])
    # Where a whole chroma cell is covered, nothing of the old picture shines through.
    if mask.all() and (w, h) == (width, height):
        assert all(
            np.array_equal(a, b)
            for a, b in zip(
                patched.planes(),
                Frame.from_rgb(rgb, pix_fmt=name, color=frame.color).planes(),
                strict=True,
            )
        )


@pytest.mark.slow
@settings(max_examples=120, deadline=None)
@given(data=st.data(), name=st.sampled_from(FORMATS), seed=st.integers(0, 2**16))
def test_crop_equals_the_box_of_the_whole(data, name: str, seed: int) -> None:
    width, height = data.draw(st.integers(1, 40)), data.draw(st.integers(1, 40))
    left, top = data.draw(st.integers(0, width - 1)), data.draw(st.integers(0, height - 1))
    right = data.draw(st.integers(left + 1, width))
    bottom = data.draw(st.integers(top + 1, height))
    frame = noise_frame(name, width, height, seed, ColorTags(seed % 3, (1, 2, 6)[seed % 3]))
    box = frame.to_rgb()[top:bottom, left:right]
    crop = frame.crop_rgb(left, top, right, bottom)
    assert crop.shape == box.shape
    assert np.abs(crop.astype(int) - box).max() <= 1


def test_partly_covered_chroma_is_weighed() -> None:
    frame = Frame.from_rgb(np.zeros((2, 2, 3), np.uint8), color=ColorTags(2, 1))
    red = np.full((2, 2, 3), (255, 0, 0), np.uint8)
    one = np.array([[True, False], [False, False]])
    quarter = int(frame.with_patch(0, 0, red, one).planes()[2][0, 0])
    whole = int(frame.with_patch(0, 0, red, np.ones((2, 2), bool)).planes()[2][0, 0])
    assert whole == 255
    assert quarter == pytest.approx(128 + 127.5 / 4, abs=0.51)


def test_fast_rgb_is_near() -> None:
    frame = Frame.from_rgb(smooth_rgb(64, 64, 1))
    error = frame.to_rgb(fast=True).astype(int) - frame.to_rgb()
    assert np.abs(error).max() <= 4


@pytest.mark.parametrize("name", YUV)
def test_fast_rgb_of_a_box_is_that_of_the_frame(name) -> None:
    frame = noise_frame(name, 96, 64, 2, ColorTags(1, 1))
    whole = frame.to_rgb(fast=True)
    for left, top, right, bottom in ((16, 16, 64, 48), (32, 0, 96, 64), (0, 48, 16, 64)):
        part = frame.crop_rgb(left, top, right, bottom, fast=True)
        np.testing.assert_array_equal(part, whole[top:bottom, left:right])


def test_boxes_and_shapes_are_checked() -> None:
    frame = Frame.from_rgb(smooth_rgb(8, 8, 0))
    patch, mask = np.zeros((4, 4, 3), np.uint8), np.ones((4, 4), bool)
    for box in ((-1, 0, 4, 4), (0, 0, 9, 4), (3, 3, 3, 4)):
        with pytest.raises(ShapeError, match="leaves the frame"):
            frame.crop_rgb(*box)
    with pytest.raises(ShapeError, match="leaves the frame"):
        frame.with_patch(6, 0, patch, mask)
    with pytest.raises(ShapeError, match="mask is"):
        frame.with_patch(0, 0, patch, mask[:2])
    with pytest.raises(ShapeError, match="rgb is float64"):
        frame.with_patch(0, 0, patch.astype(np.float64), mask)  # type: ignore[arg-type]
    with pytest.raises(ShapeError, match="rgb is"):
        Frame.from_rgb(np.zeros((4, 4), np.uint8))


def test_planes_are_read_only() -> None:
    with pytest.raises(ValueError, match="read-only"):
        Frame.from_rgb(smooth_rgb(8, 8, 0)).planes()[0][0, 0] = 1


@pytest.mark.parametrize(
    ("name", "native"),
    [
        ("yuyv422", "yuv422p"),
        ("yuv411p", "yuv422p"),
        ("yuv410p", "yuv420p"),
        ("yuv440p", "yuv444p"),
        ("yuvj440p", "yuvj444p"),
        ("p010le", "yuv420p10le"),
        ("yuv444p12le", "yuv444p10le"),
        ("yuva420p", "yuv420p"),
        ("nv16", "yuv422p"),
        ("bgra", "rgb24"),
        ("pal8", "rgb24"),
        ("gbrp10le", "rgb24"),
        ("gray16le", "gray"),
        ("ya8", "gray"),
    ],
)
def test_other_formats_have_a_native_one(name: str, native: str) -> None:
    assert native_format_name(name) == native
