"""Losses of the renderer: plain functions on batches of images.

A new loss is a function here, a weight in `weights.LossWeights` and a term in
`objective.compute_loss`.
"""

from dubfew.prior.losses.adversarial import (
    least_squares_critic_loss,
    least_squares_generator_loss,
)
from dubfew.prior.losses.contextual import contextual_loss, contextual_similarity
from dubfew.prior.losses.frequency import focal_frequency_loss, plain_focal_frequency_loss
from dubfew.prior.losses.perceptual import (
    perceptual_and_style_losses,
    two_scale_perceptual_loss,
)
from dubfew.prior.losses.pixels import (
    detail_energy_loss,
    laplacian_l1_loss,
    region_weights,
    weighted_l1_loss,
)
from dubfew.prior.losses.vgg import Vgg19, default_vgg19_path, fetch_vgg19, load_vgg19

__all__ = [
    "Vgg19",
    "contextual_loss",
    "contextual_similarity",
    "default_vgg19_path",
    "detail_energy_loss",
    "fetch_vgg19",
    "focal_frequency_loss",
    "laplacian_l1_loss",
    "least_squares_critic_loss",
    "least_squares_generator_loss",
    "load_vgg19",
    "perceptual_and_style_losses",
    "plain_focal_frequency_loss",
    "region_weights",
    "two_scale_perceptual_loss",
    "weighted_l1_loss",
]
