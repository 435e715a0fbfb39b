"""The loss as a whole: its terms and where their gradients go."""

from __future__ import annotations

import pytest
import torch

from dubfew.prior.discriminator import Discriminator, DiscriminatorConfig
from dubfew.prior.losses import Vgg19
from dubfew.prior.losses.objective import (
    LossNetworks,
    compute_loss,
    render_and_compute_loss,
    render_batch,
)
from dubfew.prior.losses.weights import LossWeights, resolve_loss_weights
from tests.data.people import SIZE, TOY

TEXTURE = torch.zeros(2, TOY.texture_channels, SIZE, SIZE)


@pytest.fixture(scope="module")
def critics() -> LossNetworks:
    torch.manual_seed(0)
    return LossNetworks(Vgg19().eval(), Discriminator(DiscriminatorConfig(widths=(8, 8))))


def test_default_terms(renderer, sample):
    total, terms = render_and_compute_loss(renderer, sample, TEXTURE, LossWeights())
    assert set(terms) == {"l1", "laplacian", "energy", "frequency", "texture", "offsets"}
    expected = sum(
        getattr(LossWeights(), name) * float(term.detach()) for name, term in terms.items()
    )
    assert float(total.detach()) == pytest.approx(expected, rel=1e-5)


@pytest.mark.slow
def test_all_terms_of_preset_paper_003_train_the_renderer(renderer, sample, critics):
    total, terms = render_and_compute_loss(
        renderer, sample, TEXTURE, resolve_loss_weights("paper-003"), critics
    )
    assert {"l1", "perceptual", "style", "adversarial", "texture"} <= set(terms)
    assert "laplacian" not in terms
    total.backward()
    assert all(torch.isfinite(p.grad).all() for p in renderer.parameters() if p.grad is not None)
    assert renderer.leave.weight.grad.any()
    assert all(p.grad is None for p in critics.discriminator.parameters())


@pytest.mark.slow
def test_no_gradient_outside_the_mask(renderer, sample, critics):
    fields, prediction = render_batch(renderer, sample, TEXTURE)
    prediction.retain_grad()
    weights = resolve_loss_weights({"preset": "paper-003", "matching": 1})
    compute_loss(sample, TEXTURE, fields, prediction, weights, critics)[0].backward()
    assert not (prediction.grad * (sample.inputs.alpha == 0)).any()


def test_vgg_is_needed_and_a_discriminator_may_come_later(renderer, sample):
    with pytest.raises(ValueError, match="VGG-19"):
        render_and_compute_loss(renderer, sample, TEXTURE, LossWeights(style=1))
    _, terms = render_and_compute_loss(renderer, sample, TEXTURE, LossWeights(matching=1))
    assert "matching" not in terms
