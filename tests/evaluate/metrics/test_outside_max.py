from __future__ import annotations

import numpy as np
import pytest

from dubfew.errors import ShapeError
from dubfew.evaluate.metrics.outside_max import max_difference_outside


def test_largest_difference():
    a = np.zeros((4, 5, 3), np.uint8)
    b = a.copy()
    b[1, 2, 1], b[3, 4, 0] = 200, 7
    assert max_difference_outside(a, b, None) == 200
    assert max_difference_outside(b, a, a[..., 0] == 0) == 0
    ignore = np.zeros((4, 5), bool)
    ignore[1, 2] = True
    assert max_difference_outside(b, a, ignore) == 7


def test_shape_error(noise):
    with pytest.raises(ShapeError):
        max_difference_outside(noise, noise[1:], None)


def test_what_lies_beyond_the_window_counts(noise):
    from dubfew.evaluate.face_geometry import PixelBox
    from dubfew.evaluate.metrics import METRICS, FramePair

    other = noise.copy()
    other[0, 0] ^= 255  # not in the box, so it shows nothing
    box = PixelBox(2, 2, 12, 12)
    for beyond in (0, 9):
        pair = FramePair(noise, other, None, PixelBox(0, 0, 1, 1), box=box, beyond=beyond)
        measurement = METRICS["outside_max"].measure.start(None)
        measurement.add_frame(pair)
        assert list(measurement.curve(None).values) == [beyond]
