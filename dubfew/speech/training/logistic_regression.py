"""Logistic regression with a ridge, for the classifiers beside the networks."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

# Iterations of the optimizer, which has converged by then.
_MAX_ITERATIONS = 80


def fit_logistic(
    x: Tensor,  # [N, C]
    y: Tensor,  # [N]
    ridge: float,
) -> Tensor:  # [C + 1]
    """Fit a logistic regression; the last weight is the constant.

    Args:
        x: inputs, of about unit size. [N, C]
        y: labels, 0 or 1. [N]
        ridge: weight of the sum of squared weights; the loss is a mean over rows.
    """
    weights = torch.zeros(x.shape[1] + 1, requires_grad=True)
    optimizer = torch.optim.LBFGS(
        [weights], max_iter=_MAX_ITERATIONS, line_search_fn="strong_wolfe"
    )

    def compute_loss() -> Tensor:
        optimizer.zero_grad()
        loss = F.binary_cross_entropy_with_logits(x @ weights[:-1] + weights[-1], y)
        loss = loss + ridge * (weights[:-1] ** 2).sum()
        loss.backward()
        return loss

    optimizer.step(compute_loss)
    return weights.detach()
