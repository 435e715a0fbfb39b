from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter

from dubfew.media import Frame
from dubfew.references.cropping import crop_quickly, crop_window
from tests.media.pictures import smooth_rgb


def ramp(width: int, height: int) -> Frame:
    y, x = np.mgrid[:height, :width]
    return Frame.from_rgb(np.stack([x, y, 0 * x], -1).astype(np.uint8), pix_fmt="rgb24")


def test_a_window_of_whole_pixels_is_that_part_of_the_frame():
    frame = ramp(60, 50)
    window = crop_window(frame, np.array([10.0, 12.0, 20.0]), 20)
    np.testing.assert_array_equal(window, frame.to_rgb()[12:32, 10:30])


def test_pixel_centres_stay_where_they_are_when_enlarged():
    window = crop_window(ramp(60, 50), np.array([10.25, 5.0, 20.0]), 40).astype(float)
    # The middle of output column 20 lies at 10.25 + 20.5 / 2 = 20.5: the centre of column 20.
    assert window[20, 20, 0] == pytest.approx(20, abs=1)


@given(
    left=st.floats(-90, 120),
    top=st.floats(-90, 120),
    side=st.floats(1, 200),
    size=st.sampled_from([8, 33]),
)
def test_any_window_can_be_cut(left, top, side, size):
    window = crop_window(ramp(31, 22), np.array([left, top, side]), size)
    assert window.shape == (size, size, 3)
    # Bicubic may overshoot by a little, but nothing is invented outside the frame.
    assert window[..., 0].max() <= 34


@pytest.mark.parametrize("pix_fmt", ["yuv420p", "nv12", "rgb24", "yuv420p10le"])
@pytest.mark.parametrize(
    "window", [(31.3, 40.8, 90.2), (-40, 90, 120), (20, -75.5, 260), (300, 10, 50)]
)
def test_a_quick_crop_shows_what_a_window_does(pix_fmt: str, window: tuple):
    frame = Frame.from_rgb(smooth_rgb(150, 160, 3), pix_fmt=pix_fmt)
    quick, square = crop_quickly(frame, np.array(window), 64)
    assert (square % 2 == 0).all()
    assert np.abs(square - window).max() <= 1
    # The quick path is up to three levels too dark, and pads by whole pixels of the result.
    difference = quick.astype(float) - crop_window(frame, square, 64)
    assert np.abs(difference).mean() < 4
    assert quick.shape == (64, 64, 3)


def test_a_window_cut_between_pixels_stays_sharp():
    # Bicubic enlargement took a third of the finest detail of every reference.
    rng = np.random.default_rng(0)
    picture = gaussian_filter(rng.uniform(0, 255, (120, 120)), 0.8)
    picture = np.repeat(((picture - picture.min()) / np.ptp(picture) * 255)[..., None], 3, -1)
    frame = Frame.from_rgb(picture.astype(np.uint8), pix_fmt="rgb24")
    window = crop_window(frame, np.array([20.75, 20.75, 64.0]), 128)
    # Two samples a pixel: every second one lies half a pixel from the frame's own.
    between = window[::2, ::2, 0].astype(float)
    at = picture[20:86, 20:86, 0]

    def sharpness(image):
        return (
            4 * image[1:-1, 1:-1]
            - image[:-2, 1:-1]
            - image[2:, 1:-1]
            - image[1:-1, :-2]
            - image[1:-1, 2:]
        ).var()

    assert sharpness(between) > 0.75 * sharpness(at)
