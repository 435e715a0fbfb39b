"""What training asks of a picture; the same for the prior and for an actor."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from dubfew.data.samples import TrainingSample
from dubfew.prior.discriminator import Discriminator, composite_prediction, generator_losses
from dubfew.prior.losses import (
    Vgg19,
    detail_energy_loss,
    focal_frequency_loss,
    laplacian_l1_loss,
    perceptual_and_style_losses,
    region_weights,
    weighted_l1_loss,
)
from dubfew.prior.losses.weights import LossWeights
from dubfew.prior.renderers import BlendFields, Renderer
from dubfew.references.warping import warp_references
from dubfew.textures import texture_regularization_loss

LossTerms = dict[str, Tensor]
# Edge of the window for which the weights were chosen, px.
BASE_WINDOW_PX = 160


@dataclass(frozen=True)
class LossNetworks:
    """Networks that judge pictures; they belong to a training, not to the prior.

    Attributes:
        vgg: for the terms "perceptual" and "style".
        discriminator: for "adversarial" and "matching"; whoever trains the renderer trains it, too,
            see `discriminator_loss`.
    """

    vgg: Vgg19 | None = None
    discriminator: Discriminator | None = None


def render_and_compute_loss(
    renderer: Renderer,
    sample: TrainingSample,
    texture: Tensor,
    loss_weights: LossWeights,
    loss_networks: LossNetworks | None = None,
) -> tuple[Tensor, LossTerms]:
    """Loss of a batch and its terms, see `compute_loss`."""
    fields, picture = render_batch(renderer, sample, texture)
    return compute_loss(sample, texture, fields, picture, loss_weights, loss_networks)


def render_batch(
    renderer: Renderer, sample: TrainingSample, texture: Tensor
) -> tuple[BlendFields, Tensor]:
    """Fields of a batch, and the picture that they make [B, 3, S, S]."""
    inputs = sample.inputs
    fields = renderer.predict_fields(inputs, texture, warp_references(inputs))
    return fields, fields.compose_image(inputs.references, inputs.sampling_grid)


def compute_loss(
    sample: TrainingSample,
    texture: Tensor,
    blend_fields: BlendFields,
    prediction: Tensor,
    loss_weights: LossWeights,
    loss_networks: LossNetworks | None = None,
) -> tuple[Tensor, LossTerms]:
    """Loss of a batch that was `render_batch`, and its terms.

    Terms of weight 0 are left out, and those of a discriminator that does not take part yet.

    Raises:
        ValueError: a term needs VGG-19, and it is not there.

    Source: paper 003, eq. 1; focal frequency from paper 002.
    """
    loss_networks = loss_networks or LossNetworks()
    prediction = prediction.float()  # spectra and small differences do not bear half precision
    truth, alpha = sample.target, sample.inputs.alpha
    regions = region_weights(alpha, sample.mouth_box, loss_weights.lower, loss_weights.mouth)
    # A larger window shows the same mouth: the bands of a smaller one, and finer ones.
    octaves = max(0, round(math.log2(truth.shape[-1] / BASE_WINDOW_PX)))
    plain: dict[str, Callable[[], Tensor]] = {
        "l1": lambda: weighted_l1_loss(prediction, truth, regions),
        "laplacian": lambda: laplacian_l1_loss(prediction, truth, regions, 3 + octaves),
        "energy": lambda: detail_energy_loss(prediction, truth, regions, 2 + octaves),
        "frequency": lambda: focal_frequency_loss(prediction, truth, regions),
        "texture": lambda: texture_regularization_loss(
            texture, truth, alpha * sample.inputs.mesh_mask
        ),
        "offsets": lambda: _offset_smoothness(blend_fields.offsets),
    }
    terms = {name: term() for name, term in plain.items() if getattr(loss_weights, name)}
    if loss_weights.needs_vgg:
        if loss_networks.vgg is None:
            raise ValueError("the weights ask for VGG-19, the critics have none")
        terms |= perceptual_and_style_losses(
            loss_networks.vgg, composite_prediction(sample, prediction), truth, regions
        )
    if loss_networks.discriminator is not None and loss_weights.needs_discriminator:
        terms |= generator_losses(loss_networks.discriminator, sample, prediction)
    total = sum(
        (getattr(loss_weights, name) * term for name, term in terms.items()),
        prediction.new_zeros(()),
    )
    return total, terms


def _offset_smoothness(offsets: Tensor) -> Tensor:
    """Mean change of [B, K, S, S, 2] per pixel of a window of 160 px, across and down. []"""
    slopes = offsets.diff(dim=2).abs().mean() + offsets.diff(dim=3).abs().mean()
    return slopes * (offsets.shape[2] / BASE_WINDOW_PX)


def mouth_psnr(prediction: Tensor, sample: TrainingSample) -> Tensor:
    """PSNR in the lips' box of each frame, dB. [B]"""
    box = region_weights(torch.ones_like(sample.inputs.alpha), sample.mouth_box, 0.0, 1.0)
    squared = ((prediction.clamp(0, 1) - sample.target) ** 2 * box).sum((1, 2, 3))
    return -10 * torch.log10(squared / (3 * box.sum((1, 2, 3))).clamp(min=1) + 1e-10)
