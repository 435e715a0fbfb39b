"""What training asks of a picture; the same for the prior and for an actor."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from dubfew.data.samples import Sample
from dubfew.prior.discriminator import Discriminator, composed, generator_terms
from dubfew.prior.losses import (
    Vgg19,
    detail_energy,
    focal_frequency,
    laplacian_l1,
    perceptual_and_style,
    region_weights,
    weighted_l1,
)
from dubfew.prior.losses.weights import LossWeights
from dubfew.prior.renderers import Fields, Renderer
from dubfew.references.warping import warp
from dubfew.textures import texture_regulariser

Terms = dict[str, Tensor]
# Edge of the window for which the weights were chosen, px.
COMMON = 160


@dataclass(frozen=True)
class Critics:
    """Networks that judge pictures; they belong to a training, not to the prior.

    Attributes:
        vgg: for the terms "perceptual" and "style".
        discriminator: for "adversarial" and "matching"; whoever trains the renderer trains it, too,
            see `discriminator_loss`.
    """

    vgg: Vgg19 | None = None
    discriminator: Discriminator | None = None


def objective(
    renderer: Renderer,
    sample: Sample,
    texture: Tensor,
    weights: LossWeights,
    critics: Critics | None = None,
) -> tuple[Tensor, Terms]:
    """Loss of a batch and its terms, see `judged`."""
    fields, picture = drawn(renderer, sample, texture)
    return judged(sample, texture, fields, picture, weights, critics)


def drawn(renderer: Renderer, sample: Sample, texture: Tensor) -> tuple[Fields, Tensor]:
    """Fields of a batch, and the picture that they make [B, 3, S, S]."""
    inputs = sample.inputs
    fields = renderer.fields(inputs, texture, warp(inputs))
    return fields, fields.picture(inputs.references, inputs.places)


def judged(
    sample: Sample,
    texture: Tensor,
    fields: Fields,
    picture: Tensor,
    weights: LossWeights,
    critics: Critics | None = None,
) -> tuple[Tensor, Terms]:
    """Loss of a batch that was `drawn`, and its terms.

    Terms of weight 0 are left out, and those of a discriminator that does not take part yet.

    Raises:
        ValueError: a term needs VGG-19, and it is not there.

    Source: paper 003, eq. 1; focal frequency from paper 002.
    """
    critics = critics or Critics()
    picture = picture.float()  # spectra and small differences do not bear half precision
    truth, alpha = sample.truth, sample.inputs.alpha
    regions = region_weights(alpha, sample.mouth, weights.lower, weights.mouth)
    # A larger window shows the same mouth: the bands of a smaller one, and finer ones.
    octaves = max(0, round(math.log2(truth.shape[-1] / COMMON)))
    plain: dict[str, Callable[[], Tensor]] = {
        "l1": lambda: weighted_l1(picture, truth, regions),
        "laplacian": lambda: laplacian_l1(picture, truth, regions, 3 + octaves),
        "energy": lambda: detail_energy(picture, truth, regions, 2 + octaves),
        "frequency": lambda: focal_frequency(picture, truth, regions),
        "texture": lambda: texture_regulariser(texture, truth, alpha * sample.inputs.covered),
        "offsets": lambda: _slopes(fields.offsets),
    }
    terms = {name: term() for name, term in plain.items() if getattr(weights, name)}
    if weights.needs_vgg:
        if critics.vgg is None:
            raise ValueError("the weights ask for VGG-19, the critics have none")
        terms |= perceptual_and_style(critics.vgg, composed(sample, picture), truth, regions)
    if critics.discriminator is not None and weights.needs_discriminator:
        terms |= generator_terms(critics.discriminator, sample, picture)
    total = sum(
        (getattr(weights, name) * term for name, term in terms.items()), picture.new_zeros(())
    )
    return total, terms


def _slopes(offsets: Tensor) -> Tensor:
    """Mean change of [B, K, S, S, 2] per pixel of a window of 160 px, across and down. []"""
    slopes = offsets.diff(dim=2).abs().mean() + offsets.diff(dim=3).abs().mean()
    return slopes * (offsets.shape[2] / COMMON)


def mouth_psnr(picture: Tensor, sample: Sample) -> Tensor:
    """PSNR in the lips' box of each frame, dB. [B]"""
    box = region_weights(torch.ones_like(sample.inputs.alpha), sample.mouth, 0.0, 1.0)
    squared = ((picture.clamp(0, 1) - sample.truth) ** 2 * box).sum((1, 2, 3))
    return -10 * torch.log10(squared / (3 * box.sum((1, 2, 3))).clamp(min=1) + 1e-10)
