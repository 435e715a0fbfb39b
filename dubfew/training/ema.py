"""Exponential moving average (EMA) of a network's weights."""

from __future__ import annotations

import torch
from torch import nn


@torch.no_grad()
def update_ema(ema_model: nn.Module, model: nn.Module, decay: float) -> None:
    """Move the average towards the model; buffers, which are no parameters, are copied.

    Args:
        ema_model: the average, changed in place.
        model: the network of the same class after an optimizer step.
        decay: share of the average that stays, from 0 (copy the model) to below 1.

    Raises:
        ValueError: The two networks have different numbers of parameters or buffers.

    Source: Polyak and Juditsky 1992, "Acceleration of Stochastic Approximation by Averaging", SIAM
    Journal on Control and Optimization 30(4), with exponential weights.
    """
    for average, current in zip(ema_model.parameters(), model.parameters(), strict=True):
        average.lerp_(current.detach(), 1 - decay)
    for kept, fresh in zip(ema_model.buffers(), model.buffers(), strict=True):
        kept.copy_(fresh)
