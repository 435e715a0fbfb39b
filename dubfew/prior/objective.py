"""What training asks of a picture; the same for the prior and for an actor."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from dubfew.prior.losses import (
    detail_energy,
    focal_frequency,
    laplacian_l1,
    region_weights,
    weighted_l1,
)
from dubfew.prior.renderers import Renderer
from dubfew.prior.samples import Sample
from dubfew.prior.warp import warp
from dubfew.textures import texture_regulariser


@dataclass(frozen=True)
class LossWeights:
    """Weight of each term.

    Attributes:
        l1: region-weighted l1.
        laplacian: l1 on a Laplacian pyramid: sharp edges.
        energy: as much fine detail as the truth.
        frequency: focal frequency loss.
        texture: first channels of the texture resemble RGB.
        offsets: corrections of places stay smooth.
    """

    l1: float = 10.0
    laplacian: float = 10.0
    energy: float = 10.0
    frequency: float = 1.0
    texture: float = 1.0
    offsets: float = 0.5


def objective(
    renderer: Renderer, sample: Sample, texture: Tensor, weights: LossWeights
) -> tuple[Tensor, dict[str, Tensor]]:
    """Loss of a batch and its terms.

    Source: paper 003, eq. 1, without the terms that need downloaded or adversarial networks;
    focal frequency from paper 002.
    """
    inputs = sample.inputs
    fields = renderer.fields(inputs, texture, warp(inputs))
    picture = fields.picture(inputs.references, inputs.places)
    regions = region_weights(inputs.alpha, sample.mouth)
    painted = inputs.alpha * inputs.covered
    slope = [fields.offsets.diff(dim=d).abs().mean() for d in (2, 3)]
    terms = {
        "l1": weighted_l1(picture, sample.truth, regions),
        "laplacian": laplacian_l1(picture, sample.truth, regions),
        "energy": detail_energy(picture, sample.truth, regions),
        "frequency": focal_frequency(picture, sample.truth, regions),
        "texture": texture_regulariser(texture, sample.truth, painted),
        "offsets": slope[0] + slope[1],
    }
    total = sum((getattr(weights, name) * term for name, term in terms.items()), torch.zeros(()))
    return total, terms


def mouth_psnr(picture: Tensor, sample: Sample) -> Tensor:
    """PSNR in the lips' box of each frame, dB. [B]"""
    box = region_weights(torch.ones_like(sample.inputs.alpha), sample.mouth, 0.0, 1.0)
    squared = ((picture.clamp(0, 1) - sample.truth) ** 2 * box).sum((1, 2, 3))
    return -10 * torch.log10(squared / (3 * box.sum((1, 2, 3))).clamp(min=1) + 1e-10)
