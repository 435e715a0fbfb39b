from __future__ import annotations

import pytest
import torch

from dubfew.prior.discriminator import Discriminator, DiscriminatorConfig
from dubfew.prior.losses import Vgg19
from dubfew.prior.losses.objective import Critics, drawn, judged, objective
from dubfew.prior.losses.weights import LossWeights, loss_weights
from tests.data.people import SIZE, TOY

TEXTURE = torch.zeros(2, TOY.texture_channels, SIZE, SIZE)


@pytest.fixture(scope="module")
def critics() -> Critics:
    torch.manual_seed(0)
    return Critics(Vgg19().eval(), Discriminator(DiscriminatorConfig(widths=(8, 8))))


def test_default_terms(renderer, sample):
    total, terms = objective(renderer, sample, TEXTURE, LossWeights())
    assert set(terms) == {"l1", "laplacian", "energy", "frequency", "texture", "offsets"}
    expected = sum(
        getattr(LossWeights(), name) * float(term.detach()) for name, term in terms.items()
    )
    assert float(total.detach()) == pytest.approx(expected, rel=1e-5)


def test_all_terms_of_paper_003_teach_the_renderer(renderer, sample, critics):
    total, terms = objective(renderer, sample, TEXTURE, loss_weights("paper-003"), critics)
    assert {"l1", "perceptual", "style", "adversarial", "texture"} <= set(terms)
    assert "laplacian" not in terms
    total.backward()
    assert all(torch.isfinite(p.grad).all() for p in renderer.parameters() if p.grad is not None)
    assert renderer.leave.weight.grad.any()
    assert all(p.grad is None for p in critics.discriminator.parameters())


def test_only_paint_is_judged(renderer, sample, critics):
    fields, picture = drawn(renderer, sample, TEXTURE)
    picture.retain_grad()
    weights = loss_weights({"preset": "paper-003", "matching": 1})
    judged(sample, TEXTURE, fields, picture, weights, critics)[0].backward()
    assert not (picture.grad * (sample.inputs.alpha == 0)).any()


def test_vgg_has_to_be_there_and_a_discriminator_may_come_later(renderer, sample):
    with pytest.raises(ValueError, match="critics have none"):
        objective(renderer, sample, TEXTURE, LossWeights(style=1))
    _, terms = objective(renderer, sample, TEXTURE, LossWeights(matching=1))
    assert "matching" not in terms
