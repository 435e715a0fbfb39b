"""Weights of the losses and their presets."""

from __future__ import annotations

import pytest

from dubfew.errors import ArtefactError
from dubfew.prior.losses.weights import LOSS_PRESETS, LossWeights, resolve_loss_weights


def test_preset_paper_003_has_the_weights_of_its_source():
    paper = resolve_loss_weights("paper-003")
    # Saunders and Namboodiri 2024, section 4: lambda_1, lambda_VGG, lambda_reg and lambda_adv;
    # section 3.4: regions.
    assert (paper.l1, paper.perceptual, paper.style) == (10, 10, 10)
    assert (paper.texture, paper.adversarial) == (5, 1)
    assert (paper.mouth, paper.lower) == (10, 8)
    assert paper.needs_vgg
    assert paper.needs_discriminator


def test_the_default_needs_nothing_downloaded():
    assert resolve_loss_weights({}) == LOSS_PRESETS["dubfew"] == LossWeights()
    assert not LossWeights().needs_vgg
    assert not LossWeights().needs_discriminator


def test_a_preset_with_changes():
    weights = resolve_loss_weights({"preset": "paper-003", "style": 0, "matching": 2.5})
    assert weights.style == 0
    assert weights.matching == 2.5
    assert weights.l1 == 10
    assert LOSS_PRESETS["paper-003"].style == 10


@pytest.mark.parametrize(
    ("loss", "message"),
    [
        ("paper-9", "paper-003"),
        ({"preset": "no"}, "no preset"),
        ({"sharp": 1}, "no loss 'sharp'"),
        ({"l1": -1}, "l1"),
        ({"l1": "much"}, "much"),
        ({"l1": True}, "l1"),
        ({"l1": float("nan")}, "nan"),
    ],
)
def test_wrong_losses_are_refused(loss, message):
    with pytest.raises(ArtefactError, match=message):
        resolve_loss_weights(loss)
