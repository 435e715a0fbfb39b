from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from dubfew.errors import ShapeError
from dubfew.evaluate.metrics.sharpness import relative_sharpness


def test_identical_frames(noise):
    assert relative_sharpness(noise, noise) == 1


def test_blur_lowers_it(noise):
    soft, softer = (
        gaussian_filter(noise.astype(float), (sigma, sigma, 0)).astype(np.uint8)
        for sigma in (0.7, 2)
    )
    assert 1 > relative_sharpness(noise, soft) > relative_sharpness(noise, softer) > 0


def test_value_of_a_known_pattern():
    # A checkerboard of amplitude 1: the Laplacian is ±4 times the amplitude everywhere but at the
    # border, and half the contrast has a quarter of the variance.
    board = np.indices((64, 64)).sum(axis=0) % 2
    full, half = (np.repeat((board * step)[..., None], 3, 2).astype(np.uint8) for step in (80, 40))
    assert relative_sharpness(full, half) == pytest.approx(0.25, rel=1e-5)
    assert math.isnan(relative_sharpness(np.zeros_like(full), full))


def test_shape_error(noise):
    with pytest.raises(ShapeError):
        relative_sharpness(noise, noise[..., :2])
