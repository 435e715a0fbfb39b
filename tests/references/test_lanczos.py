"""Resampling: what Pillow makes of the same picture."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from dubfew.references.lanczos import resize_lanczos


@pytest.mark.parametrize(
    ("box", "size"),
    [
        ((0.0, 0.0, 61.0, 47.0), (61, 47)),  # nothing to do
        ((3.0, 5.0, 35.0, 37.0), (32, 32)),  # whole pixels
        ((0.3, 1.7, 60.2, 46.1), (16, 20)),  # smaller
        ((20.25, 11.5, 31.1, 22.35), (64, 64)),  # larger
        ((0.0, 0.0, 1.0, 47.0), (5, 47)),  # one column
        ((7.9, 0.4, 8.2, 40.6), (3, 9)),  # less than a pixel
    ],
)
def test_pictures_are_resampled_as_by_pillow(box: tuple, size: tuple) -> None:
    pixels = np.random.default_rng(1).integers(0, 256, (47, 61, 3), dtype=np.uint8)
    expected = Image.fromarray(pixels).resize(size, Image.Resampling.LANCZOS, box=box)
    found = resize_lanczos(pixels, size, box)
    assert found.shape == (size[1], size[0], 3)
    # The sines of another library may round a weight's last bit otherwise.
    difference = np.abs(found.astype(int) - np.asarray(expected))
    assert difference.max() <= 1
    assert (difference > 0).mean() < 0.001


def test_columns_of_a_larger_picture() -> None:
    whole = np.random.default_rng(2).integers(0, 256, (30, 50, 3), dtype=np.uint8)
    part = whole[:, 10:40]
    expected = resize_lanczos(part.copy(), (12, 12), (0.5, 0.5, 29.5, 29.5))
    np.testing.assert_array_equal(resize_lanczos(part, (12, 12), (0.5, 0.5, 29.5, 29.5)), expected)
