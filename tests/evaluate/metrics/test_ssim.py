from __future__ import annotations

import math

import numpy as np
import pytest

from dubfew.errors import ShapeError
from dubfew.evaluate.metrics.ssim import SSIM_WINDOW_PX, ssim


def test_identical_frames(noise):
    assert ssim(noise, noise) == pytest.approx(1)


def test_it_falls_with_noise(noise):
    rng = np.random.default_rng(1)
    weak, strong = (
        np.clip(noise + rng.normal(0, sigma, noise.shape), 0, 255).astype(np.uint8)
        for sigma in (5, 40)
    )
    assert 1 > ssim(noise, weak) > ssim(noise, strong)


def test_images_smaller_than_the_window_have_no_value(noise):
    edge = SSIM_WINDOW_PX - 1
    assert math.isnan(ssim(noise[:edge], noise[:edge]))


def test_shape_error(noise):
    with pytest.raises(ShapeError):
        ssim(noise, noise[1:])


def test_package_gives_the_same(noise):
    from skimage.metrics import structural_similarity

    rng = np.random.default_rng(2)
    other = np.clip(noise + rng.normal(0, 20, noise.shape), 0, 255).astype(np.uint8)
    expected = structural_similarity(
        noise.astype(np.float64),
        other.astype(np.float64),
        win_size=SSIM_WINDOW_PX,
        data_range=255.0,
        channel_axis=2,
    )
    assert ssim(noise, other) == pytest.approx(expected, abs=1e-9)
