"""Losses on pixels and spectra."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from dubfew.prior.losses import (
    detail_energy_loss,
    focal_frequency_loss,
    laplacian_l1_loss,
    plain_focal_frequency_loss,
    region_weights,
    weighted_l1_loss,
)

LOSSES = [weighted_l1_loss, laplacian_l1_loss, focal_frequency_loss, detail_energy_loss]


def make_images() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    target = torch.rand(2, 3, 32, 32, generator=generator)
    weights = torch.zeros(2, 1, 32, 32)
    weights[..., 8:24, 8:24] = 1
    return target, target + 0.1 * torch.rand(2, 3, 32, 32, generator=generator), weights


@pytest.mark.parametrize("loss", LOSSES)
def test_equal_images_have_no_loss_and_others_have(loss):
    target, other, weights = make_images()
    assert float(loss(target, target, weights)) == pytest.approx(0, abs=1e-7)
    assert float(loss(other, target, weights)) > 1e-5


@pytest.mark.parametrize("loss", [weighted_l1_loss, focal_frequency_loss])
def test_what_lies_outside_the_weights_does_not_count(loss):
    target, _, weights = make_images()
    other = target.clone()
    other[..., :8, :] += 1
    assert float(loss(other, target, weights)) == pytest.approx(0, abs=1e-7)


@pytest.mark.parametrize("loss", LOSSES)
def test_gradient(loss):
    target, other, weights = make_images()
    other.requires_grad_()
    loss(other, target, weights).backward()
    assert torch.isfinite(other.grad).all()
    assert other.grad.abs().sum() > 0


def test_focal_frequency_is_the_published_one():
    target, other, _ = make_images()
    difference = (other - target).double().numpy()
    expected = 0.0
    for picture in difference.reshape(-1, 32, 32):
        size = np.abs(np.fft.fft2(picture, norm="ortho"))
        expected += (size / size.max() * size**2).mean() / 6
    assert float(plain_focal_frequency_loss(other, target)) == pytest.approx(expected, rel=1e-4)
    # A single wave of amplitude a: two frequencies of size 32 a / 2, of 1024 in all.
    wave = 0.1 * torch.cos(2 * torch.pi * 3 * torch.arange(32) / 32).expand(1, 1, 32, 32)
    loss = plain_focal_frequency_loss(wave, torch.zeros(1, 1, 32, 32))
    assert float(loss) == pytest.approx(2 * 1.6**2 / 1024, rel=1e-4)


def test_l1_is_the_mean_under_its_weights():
    target, _, weights = make_images()
    assert float(weighted_l1_loss(target + 0.25, target, weights)) == pytest.approx(0.25)


def test_a_soft_image_has_less_l1_and_more_detail_energy_loss():
    generator = torch.Generator().manual_seed(1)
    target = torch.rand(1, 3, 64, 64, generator=generator)
    weights = torch.ones(1, 1, 64, 64)
    guess = torch.rand(1, 3, 64, 64, generator=generator)  # as sharp, but other pixels
    soft = torch.full_like(target, 0.5)
    assert weighted_l1_loss(soft, target, weights) < weighted_l1_loss(guess, target, weights)
    assert detail_energy_loss(guess, target, weights) < 0.3 * detail_energy_loss(
        soft, target, weights
    )


def test_the_mouth_weighs_most_and_nothing_counts_outside_the_mask():
    alpha = torch.zeros(1, 1, 16, 16)
    alpha[..., 4:, :] = 1
    weights = region_weights(alpha, torch.tensor([[4.0, 6.0, 10.0, 12.0]]))[0, 0]
    assert weights[0, 0] == 0
    assert weights[8, 8] == 3
    assert weights[14, 2] == 1
    assert (weights == 3).sum() == 36
