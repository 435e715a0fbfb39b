"""Losses: plain functions on pictures."""

from dubfew.prior.losses.frequency import focal_frequency
from dubfew.prior.losses.perceptual import perceptual_and_style
from dubfew.prior.losses.pixels import detail_energy, laplacian_l1, region_weights, weighted_l1
from dubfew.prior.losses.vgg import Vgg19, fetch_vgg19, load_vgg19, vgg19_path

__all__ = [
    "Vgg19",
    "detail_energy",
    "fetch_vgg19",
    "focal_frequency",
    "laplacian_l1",
    "load_vgg19",
    "perceptual_and_style",
    "region_weights",
    "vgg19_path",
    "weighted_l1",
]
