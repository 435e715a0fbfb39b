"""MS-SSIM against a plain loop, and against piq where it is installed."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.ndimage import convolve, gaussian_filter

from dubfew.evaluate.metrics.ms_ssim import SCALE_WEIGHTS, ms_ssim
from dubfew.utils.luma import LUMA_BT601


def pictures() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    smooth = gaussian_filter(rng.uniform(-1, 1, (180, 180, 3)), (2, 2, 0)) * 500 + 128
    other = smooth + rng.normal(0, 12, smooth.shape)
    return tuple(np.clip(x, 0, 255).astype(np.uint8) for x in (smooth, other))


def test_value_equals_the_paper_written_out():
    first, second = (x.astype(np.float64) @ LUMA_BT601.astype(np.float64) for x in pictures())
    line = np.exp(-(np.arange(-5, 6) ** 2) / (2 * 1.5**2))
    window = np.outer(line, line) / np.outer(line, line).sum()

    def blur(image: np.ndarray) -> np.ndarray:
        return convolve(image, window)[5:-5, 5:-5]

    value = 1.0
    for scale, weight in enumerate(SCALE_WEIGHTS):
        a, b = blur(first), blur(second)
        c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
        contrast = (2 * (blur(first * second) - a * b) + c2) / (
            blur(first**2) - a**2 + blur(second**2) - b**2 + c2
        )
        luminance = (2 * a * b + c1) / (a**2 + b**2 + c1)
        value *= (contrast * luminance if scale == 4 else contrast).mean() ** weight
        height, width = (size // 2 * 2 for size in first.shape)
        first, second = (
            x[:height, :width].reshape(height // 2, 2, width // 2, 2).mean((1, 3))
            for x in (first, second)
        )
    assert 0.5 < value < 0.99
    assert ms_ssim(*pictures()) == pytest.approx(value, rel=1e-4)


def test_package_gives_the_same():
    try:
        import piq
    except (ImportError, RuntimeError) as error:  # it imports torchvision
        pytest.skip(f"piq cannot be imported: {error}")
    import torch

    first, second = (torch.from_numpy(x @ LUMA_BT601)[None, None] for x in pictures())
    expected = float(piq.multi_scale_ssim(first, second, data_range=255))
    assert ms_ssim(*pictures()) == pytest.approx(expected, abs=1e-4)


def test_small_and_equal_pictures():
    picture, _ = pictures()
    assert ms_ssim(picture, picture) == pytest.approx(1)
    assert math.isnan(ms_ssim(picture[:160, :160], picture[:160, :160]))
