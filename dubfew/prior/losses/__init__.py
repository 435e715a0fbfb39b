"""Losses: plain functions on pictures."""

from dubfew.prior.losses.frequency import focal_frequency
from dubfew.prior.losses.pixels import detail_energy, laplacian_l1, region_weights, weighted_l1

__all__ = ["detail_energy", "focal_frequency", "laplacian_l1", "region_weights", "weighted_l1"]
