"""Losses: plain functions on pictures."""

from dubfew.prior.losses.frequency import focal_frequency
from dubfew.prior.losses.pixels import laplacian_l1, region_weights, weighted_l1

__all__ = ["focal_frequency", "laplacian_l1", "region_weights", "weighted_l1"]
