"""The discriminator: what it sees, what its losses train, and that it can be trained."""

from __future__ import annotations

from copy import deepcopy

import numpy as np
import pytest
import torch

from dubfew.data.samples import collate_samples, make_sample
from dubfew.prior.discriminator import (
    Discriminator,
    DiscriminatorConfig,
    composite_prediction,
    discriminator_condition,
    discriminator_loss,
    generator_losses,
)
from dubfew.reconstruction.heads.head_model import load_head_model
from tests.data.people import SIZE, toy_footage


@pytest.fixture(scope="module")
def sample():
    footage, head = toy_footage(), load_head_model()
    return collate_samples(
        [make_sample(footage, row, np.arange(12, 24), head, 2) for row in (0, 5)]
    )


@pytest.fixture
def discriminator() -> Discriminator:
    torch.manual_seed(0)
    return Discriminator(DiscriminatorConfig(widths=(8, 16, 16)))


def noisy(prediction: torch.Tensor) -> torch.Tensor:
    return prediction + 0.2 * torch.randn(
        prediction.shape, generator=torch.Generator().manual_seed(0)
    )


def test_logits_and_features_at_every_scale(discriminator, sample):
    outputs = discriminator(sample.target, discriminator_condition(sample))
    assert [len(found) for found in outputs] == [4, 4]
    assert [tuple(f.shape[:2]) for f in outputs[0]] == [(2, 8), (2, 16), (2, 16), (2, 1)]
    assert outputs[1][0].shape[-1] == SIZE // 4


def test_nothing_outside_the_mask_counts(discriminator, sample):
    discriminator.eval()
    other = sample.target + (sample.inputs.alpha <= 0)
    torch.testing.assert_close(composite_prediction(sample, other), sample.target)
    terms = generator_losses(discriminator, sample, other)
    assert float(terms["matching"]) == pytest.approx(0, abs=1e-5)


def test_the_condition_does_not_contain_the_target_inside_the_mask(sample):
    inside = (sample.inputs.alpha > 0).expand_as(sample.target)
    assert not discriminator_condition(sample)[:, :3][inside].any()


def test_gradients_reach_the_renderer_alone(discriminator, sample):
    prediction = noisy(sample.target).requires_grad_()
    terms = generator_losses(discriminator, sample, prediction)
    sum(terms.values()).backward()
    assert torch.isfinite(prediction.grad).all()
    assert prediction.grad.abs().sum() > 0
    assert not (prediction.grad * (sample.inputs.alpha == 0)).any()
    assert all(p.grad is None and p.requires_grad for p in discriminator.parameters())


def test_gradients_reach_the_discriminator_alone(discriminator, sample):
    prediction = noisy(sample.target).requires_grad_()
    discriminator_loss(discriminator, sample, prediction).backward()
    assert prediction.grad is None
    assert all(p.grad is not None for p in discriminator.parameters())


@pytest.mark.slow
def test_it_can_be_trained_to_tell_noise_from_skin(discriminator, sample):
    optimizer = torch.optim.Adam(discriminator.parameters(), 3e-3, betas=(0.5, 0.99))
    prediction = noisy(sample.target)
    losses = []
    for _ in range(40):
        loss = discriminator_loss(discriminator, sample, prediction)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.3 * losses[0]
    discriminator.eval()
    fooled = generator_losses(discriminator, sample, sample.target)["adversarial"]
    caught = generator_losses(discriminator, sample, prediction)["adversarial"]
    assert fooled < 0.3 * caught


def test_a_loaded_state_gives_the_same_loss(discriminator, sample):
    discriminator_loss(discriminator, sample, sample.target).backward()
    other = Discriminator(deepcopy(discriminator.config))
    other.load_state_dict(discriminator.state_dict())
    # Spectral norms keep their power iterations in the state: the next step is the same.
    torch.testing.assert_close(
        discriminator_loss(other, sample, noisy(sample.target)),
        discriminator_loss(discriminator, sample, noisy(sample.target)),
    )
