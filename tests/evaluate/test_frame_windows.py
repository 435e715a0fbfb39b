"""What is measured in a window, and compared beside it, is the same as of whole frames."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from dubfew.evaluate.face_geometry import PixelBox
from dubfew.evaluate.frame_windows import PairReader, find_difference_beyond, list_measured_boxes
from dubfew.media import Frame
from dubfew.media.pixels import ColorTags

SIZE = (160, 224)  # rows and columns


def frames(pix_fmt: str, color: ColorTags, noise: float = 6.0) -> tuple[Frame, Frame]:
    rng = np.random.default_rng(0)
    smooth = gaussian_filter(rng.uniform(-1, 1, (*SIZE, 3)), (3, 3, 0)) * 900 + 128
    pictures = [smooth, smooth + rng.normal(0, noise, smooth.shape)]
    first, second = (
        Frame.from_rgb(np.clip(p, 0, 255).astype(np.uint8), 0, 25, pix_fmt=pix_fmt, color=color)
        for p in pictures
    )
    return first, second


@pytest.mark.parametrize(
    ("pix_fmt", "color"),
    [
        ("yuv420p", ColorTags()),
        ("yuv444p", ColorTags(range=2, matrix=1)),
        ("yuvj422p", ColorTags(matrix=9)),
    ],
)
def test_the_rest_differs_as_in_whole_frames(pix_fmt: str, color: ColorTags) -> None:
    first, second = frames(pix_fmt, color)
    box = PixelBox(32, 64, 128, 160)
    difference = np.abs(first.to_rgb().astype(int) - second.to_rgb()).max(2)
    box.crop(difference)[...] = 0
    assert find_difference_beyond(first, second, box) == difference.max() > 10
    assert find_difference_beyond(first, first, box) == 0


def test_a_single_changed_pixel_is_found() -> None:
    first, _ = frames("yuv420p", ColorTags())
    rgb = first.to_rgb()
    rgb[7, 215] ^= 64
    mask = np.zeros(SIZE, bool)
    mask[7, 215] = True
    second = first.with_patch(0, 0, rgb, mask)
    expected = np.abs(first.to_rgb().astype(int) - second.to_rgb()).max()
    assert find_difference_beyond(first, second, PixelBox(0, 0, 32, 32)) == expected > 20


def test_the_window_shows_its_frames() -> None:
    first, second = frames("yuv420p", ColorTags())
    reader = PairReader()
    for boxes in ([PixelBox(70, 40, 90, 60), PixelBox(100, 50, 130, 90)], [PixelBox(0, 0, 9, 9)]):
        window = reader.read(first, second, boxes)
        assert window.box is not None
        for box in boxes:
            assert window.box.left <= box.left
            assert box.right <= window.box.right
        for picture, frame in ((window.reference, first), (window.output, second)):
            np.testing.assert_array_equal(window.box.crop(picture), window.box.crop(frame.to_rgb()))


def test_other_formats_and_frames_without_a_face_are_read_whole() -> None:
    first, second = frames("yuv420p", ColorTags())
    deep, _ = frames("yuv420p10le", ColorTags())
    for pair, boxes in (((first, second), None), ((first, deep), [PixelBox(0, 0, 8, 8)])):
        window = PairReader().read(*pair, boxes)
        assert window.box is None
        np.testing.assert_array_equal(window.output, pair[1].to_rgb())


def test_boxes_hold_the_face_and_what_may_change() -> None:
    editable = np.zeros(SIZE, bool)
    editable[100:120, 60:100] = True
    face = np.zeros((478, 3), np.float32)
    face[:, 0], face[:, 1] = np.linspace(50, 110, 478), np.linspace(60, 130, 478)
    own, mouth = PixelBox(40, 50, 120, 130), PixelBox(60, 100, 100, 120)
    boxes = list_measured_boxes(own, mouth, editable, face)
    assert boxes is not None
    assert boxes[:2] == [own, mouth]
    assert boxes[2] == PixelBox(25, 65, 135, 155)
    assert boxes[3].top == 60 - round(0.35 * 70)
    assert list_measured_boxes(None, mouth, editable, None) is None
