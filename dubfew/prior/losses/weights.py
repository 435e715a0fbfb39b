"""Weights of the losses, and named sets of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from dubfew.errors import ArtefactError


@dataclass(frozen=True)
class LossWeights:
    """Weight of each term; one of weight 0 is not computed.

    Attributes:
        l1: region-weighted l1.
        laplacian: l1 on a Laplacian pyramid: sharp edges.
        energy: as much fine detail as the truth.
        frequency: focal frequency loss.
        texture: first channels of the texture resemble RGB.
        offsets: corrections of places stay smooth.
        perceptual: l1 between features of VGG-19.
        style: l1 between their Gram matrices.
        adversarial: a discriminator takes the picture for real.
        matching: the discriminator finds the same in it as in the truth.
        mouth: how much a pixel in the lips' box counts,
        lower: and how much another painted one.
    """

    l1: float = 10.0
    laplacian: float = 10.0
    energy: float = 10.0
    frequency: float = 1.0
    texture: float = 1.0
    offsets: float = 0.5
    perceptual: float = 0.0
    style: float = 0.0
    adversarial: float = 0.0
    matching: float = 0.0
    mouth: float = 3.0
    lower: float = 1.0

    @property
    def needs_vgg(self) -> bool:
        """Whether a term needs VGG-19's weights."""
        return self.perceptual > 0 or self.style > 0

    @property
    def needs_discriminator(self) -> bool:
        """Whether a term needs a discriminator, trained along."""
        return self.adversarial > 0 or self.matching > 0


LOSS_PRESETS: dict[str, LossWeights] = {
    "dubfew": LossWeights(),
    # Sec. 3.4 and 4.1. Its VGG loss is one term, here its two halves; it names no layers. Where
    # it says nothing, nothing is added, so the fields are free: only their slopes are held.
    "paper-003": LossWeights(
        l1=10.0,
        laplacian=0.0,
        energy=0.0,
        frequency=0.0,
        texture=5.0,
        offsets=0.5,
        perceptual=10.0,
        style=10.0,
        adversarial=1.0,
        mouth=10.0,
        lower=8.0,
    ),
}


def resolve_loss_weights(preset_or_weights: str | Mapping[str, Any]) -> LossWeights:
    """A preset by name, or with some weights changed: ``{"preset": "dubfew", "matching": 1}``.

    Raises:
        ArtefactError: no such preset or term, or a weight that is no number from 0 on.
    """
    given = (
        {"preset": preset_or_weights}
        if isinstance(preset_or_weights, str)
        else dict(preset_or_weights)
    )
    name = given.pop("preset", "dubfew")
    if name not in LOSS_PRESETS:
        raise ArtefactError(f"no preset of losses {name!r}: there are {', '.join(LOSS_PRESETS)}")
    for term, weight in given.items():
        if term not in LossWeights.__dataclass_fields__:
            known = ", ".join(LossWeights.__dataclass_fields__)
            raise ArtefactError(f"no loss {term!r}: there are {known}")
        if isinstance(weight, bool) or not isinstance(weight, int | float) or not weight >= 0:
            raise ArtefactError(
                f"the weight of the loss {term!r} is {weight!r}: give a number >= 0"
            )
    return replace(LOSS_PRESETS[name], **given)
