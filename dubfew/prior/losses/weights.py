"""Weights of the losses, and presets: named sets of weights, as data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from dubfew.errors import ArtefactError


@dataclass(frozen=True)
class LossWeights:
    """Weights of the loss terms, and of the regions that they are measured in.

    A term of weight 0 is not computed.

    Attributes:
        l1: l1 distance of pixels.
        laplacian: l1 distance of the bands of a Laplacian pyramid, for sharp edges.
        energy: distance of the amounts of fine detail, against softness.
        frequency: focal frequency loss.
        texture: l1 distance of the texture's first three channels from RGB.
        offsets: roughness of the corrections of the sampling grids.
        perceptual: l1 distance of VGG-19's features.
        style: l1 distance of their Gram matrices.
        adversarial: least-squares loss of the generator against a discriminator.
        matching: l1 distance of the discriminator's features.
        mouth: weight of a painted pixel in the lips' box, in all terms that weigh pixels.
        lower: weight of any other painted pixel.
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
        """Return whether a term needs VGG-19."""
        return self.perceptual > 0 or self.style > 0

    @property
    def needs_discriminator(self) -> bool:
        """Return whether a term needs a discriminator."""
        return self.adversarial > 0 or self.matching > 0


# Sets of weights that a training configuration may name.
LOSS_PRESETS: dict[str, LossWeights] = {
    # The weights that the shipped prior and every adaptation are trained with.
    "dubfew": LossWeights(),
    # Weights of another renderer's loss on dubfew's terms: Saunders and Namboodiri 2024, "Dubbing
    # for Everyone: Data-Efficient Visual Dubbing using Neural Rendering Priors" (arXiv 2401.06126),
    # eq. 1 with the lambdas of section 4 and the region weights of section 3.4. It is not that
    # paper's loss: the paper has one VGG term of weight 10 and names no layers (here its perceptual
    # and its style half have 10 each), a discriminator of several frames, and a whole face that is
    # painted (here only the lower face is, without the paper's weight of 1 for the rest). Offsets
    # exist in dubfew's renderer alone. The name is a stored word: priors hold it.
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
    """Turn the ``loss`` of a training configuration into weights.

    Args:
        preset_or_weights: name of a preset, or weights by term that differ from a preset: that of
            the key ``preset``, or ``dubfew``.

    Raises:
        ArtefactError: The preset or a term does not exist, or a weight is not a number from 0 on.

    Example:
        >>> resolve_loss_weights({"preset": "dubfew", "matching": 0.5}).matching
        0.5
    """
    # A name alone is a preset without changes.
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
        # NaN fails the comparison.
        if isinstance(weight, bool) or not isinstance(weight, int | float) or not weight >= 0:
            raise ArtefactError(
                f"the weight of the loss {term!r} is {weight!r}: give a number >= 0"
            )
    return replace(LOSS_PRESETS[name], **given)
