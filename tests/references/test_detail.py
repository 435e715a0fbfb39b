from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from dubfew.references.detail import (
    MAX_DETAIL_GAIN,
    extract_high_frequencies,
    local_detail_energy,
    restore_high_frequencies,
)


@pytest.fixture
def skin() -> torch.Tensor:
    """Grain on a smooth shade. [1, 3, 64, 64]"""
    generator = torch.Generator().manual_seed(0)
    shade = torch.linspace(0.3, 0.6, 64).expand(1, 3, 64, 64)
    return shade + 0.03 * torch.randn(1, 1, 64, 64, generator=generator)


def laplacian_variance(images: torch.Tensor) -> float:
    kernel = torch.tensor([[0.0, 1, 0], [1, -4, 1], [0, 1, 0]])[None, None]
    return float(F.conv2d(images.mean(1, keepdim=True), kernel).var())


def test_an_average_gets_its_detail_back(skin):
    other = skin.flip(3) + 0.3 - 2 * (skin.flip(3) - skin).mean()
    blend = (skin + other) / 2
    energy = (local_detail_energy(skin, 1) + local_detail_energy(other, 1)) / 2
    restored = restore_high_frequencies(blend, energy, 1)
    assert laplacian_variance(blend) < 0.6 * laplacian_variance(skin)
    assert laplacian_variance(restored) == pytest.approx(laplacian_variance(skin), rel=0.1)


def test_images_with_enough_detail_stay_as_they_are(skin):
    torch.testing.assert_close(
        restore_high_frequencies(skin, local_detail_energy(skin, 2), 2), skin
    )
    torch.testing.assert_close(restore_high_frequencies(skin, torch.zeros(1, 1, 64, 64), 2), skin)


def test_flat_images_stay_flat_and_the_gain_is_bounded(skin):
    flat = torch.full_like(skin, 0.5)
    torch.testing.assert_close(
        restore_high_frequencies(flat, local_detail_energy(skin, 1), 1), flat
    )
    faint = 0.5 + 0.01 * (skin - skin.mean())
    change = restore_high_frequencies(faint, local_detail_energy(skin, 1), 1) - faint
    most = (MAX_DETAIL_GAIN - 1) * float(extract_high_frequencies(faint, 1).abs().max())
    assert float(change.abs().max()) <= most + 1e-6


@pytest.mark.parametrize("scale", [1, 2, 3, 7])
def test_any_size_and_scale(scale):
    image = torch.rand(1, 3, 5, 9)
    assert (
        restore_high_frequencies(image, local_detail_energy(image, scale), scale).shape
        == image.shape
    )
