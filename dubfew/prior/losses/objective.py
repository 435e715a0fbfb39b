"""The training loss of a renderer: render a batch, compute the terms, sum them up.

Prior and adaptation call the same functions. The weights differ: a prior is trained with those of
its configuration, an adaptation always with the preset ``dubfew``.
"""

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

# Terms of a loss by name, without their weights. Scalars.
LossTerms = dict[str, Tensor]
# Edge of the window that the weights were chosen for, px. Terms that depend on the size of a pixel
# are computed as for this window, so that the weights hold for larger ones.
BASE_WINDOW_PX = 160


@dataclass(frozen=True)
class LossNetworks:
    """Networks that some terms need. They belong to a training and are not stored with a prior.

    Attributes:
        vgg: network of the terms ``perceptual`` and ``style``.
        discriminator: network of ``adversarial`` and ``matching``. The training loop trains it in
            turn with the renderer, see `discriminator_loss`. None leaves these terms out.
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
    """Render a batch and compute its loss.

    Args:
        renderer: network to train.
        sample: batch with its targets.
        texture: sampled neural texture. [B, C, S, S]
        loss_weights: weights of the terms.
        loss_networks: networks of the terms that need one.

    Returns:
        The weighted sum [], and the terms.

    Raises:
        ValueError: A term needs VGG-19, and ``loss_networks`` does not have it.
    """
    fields, picture = render_batch(renderer, sample, texture)
    return compute_loss(sample, texture, fields, picture, loss_weights, loss_networks)


def render_batch(
    renderer: Renderer, sample: TrainingSample, texture: Tensor
) -> tuple[BlendFields, Tensor]:
    """Predict the blend fields of a batch and compose its images.

    Args:
        renderer: the network.
        sample: the batch.
        texture: sampled neural texture. [B, C, S, S]

    Returns:
        The fields, and RGB images, not clamped. [B, 3, S, S]
    """
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
    """Compute the loss of a batch that `render_batch` rendered.

    Terms of weight 0 are left out, and so are those of a discriminator that is not there (yet).

    Args:
        sample: batch with its targets.
        texture: sampled neural texture. [B, C, S, S]
        blend_fields: fields that the renderer predicted.
        prediction: images composed of them. [B, 3, S, S]
        loss_weights: weights of the terms.
        loss_networks: networks of the terms that need one.

    Returns:
        The weighted sum [], and the terms.

    Raises:
        ValueError: A term needs VGG-19, and ``loss_networks`` does not have it.

    Source: Saunders and Namboodiri 2024, "Dubbing for Everyone: Data-Efficient Visual Dubbing using
    Neural Rendering Priors" (arXiv 2401.06126), eq. 1, has the terms l1, perceptual or style,
    texture and adversarial. For the others see their functions.
    """
    loss_networks = loss_networks or LossNetworks()
    # Spectra and small differences need single precision.
    prediction = prediction.float()
    target, alpha = sample.target, sample.inputs.alpha
    regions = region_weights(alpha, sample.mouth_box, loss_weights.lower, loss_weights.mouth)
    # A window of twice the size shows the same mouth with one finer band.
    octaves = max(0, round(math.log2(target.shape[-1] / BASE_WINDOW_PX)))
    plain: dict[str, Callable[[], Tensor]] = {
        "l1": lambda: weighted_l1_loss(prediction, target, regions),
        "laplacian": lambda: laplacian_l1_loss(prediction, target, regions, 3 + octaves),
        "energy": lambda: detail_energy_loss(prediction, target, regions, 2 + octaves),
        "frequency": lambda: focal_frequency_loss(prediction, target, regions),
        "texture": lambda: texture_regularization_loss(
            texture, target, alpha * sample.inputs.mesh_mask
        ),
        "offsets": lambda: _offset_smoothness(blend_fields.offsets),
    }
    terms = {name: term() for name, term in plain.items() if getattr(loss_weights, name)}
    # Networks see the prediction inside the mask and the target around it.
    if loss_weights.needs_vgg:
        if loss_networks.vgg is None:
            raise ValueError("a loss has a weight and needs VGG-19: give it in loss_networks")
        terms |= perceptual_and_style_losses(
            loss_networks.vgg, composite_prediction(sample, prediction), target, regions
        )
    if loss_networks.discriminator is not None and loss_weights.needs_discriminator:
        terms |= generator_losses(loss_networks.discriminator, sample, prediction)
    # A tensor also if all weights are 0.
    total = sum(
        (getattr(loss_weights, name) * term for name, term in terms.items()),
        prediction.new_zeros(()),
    )
    return total, terms


def _offset_smoothness(offsets: Tensor) -> Tensor:
    """Average the change of [B, K, S, S, 2] per pixel of a window of `BASE_WINDOW_PX`. []"""
    slopes = offsets.diff(dim=2).abs().mean() + offsets.diff(dim=3).abs().mean()
    return slopes * (offsets.shape[2] / BASE_WINDOW_PX)


def mouth_psnr(prediction: Tensor, sample: TrainingSample) -> Tensor:
    """Measure the PSNR in the lips' box of each frame.

    Args:
        prediction: RGB; clamped to [0, 1] first. [B, 3, S, S]
        sample: batch with targets and boxes.

    Returns:
        PSNR, dB; at most 100. [B]
    """
    # Weight 1 in the box and 0 around it, whatever the mask.
    box = region_weights(torch.ones_like(sample.inputs.alpha), sample.mouth_box, 0.0, 1.0)
    squared = ((prediction.clamp(0, 1) - sample.target) ** 2 * box).sum((1, 2, 3))
    return -10 * torch.log10(squared / (3 * box.sum((1, 2, 3))).clamp(min=1) + 1e-10)
