"""Weights of the linear predictor by ridge regression over many windows."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from dubfew.speech.network import TAP_SPACING_ROWS, LinearPredictor
from dubfew.speech.training.batches import SpeechBatch

# Strength of the regularization as a fraction of the inputs' variance, for features of any kind and
# for principal components, which are of equal variance though the weaker ones say little. From a
# third to three times these, the figures for held-out people hardly differ; far less would fit the
# voices of the training.
RIDGE_FRACTION, PROJECTED_RIDGE_FRACTION = 0.3, 3.0


@torch.no_grad()
def solve_linear_predictor(
    predictor: LinearPredictor,
    batches: Iterable[SpeechBatch],
    motion_basis: NDArray[np.float32],
    ridge_fraction: float = RIDGE_FRACTION,
) -> None:
    """Set the predictor's weights by regularized least squares, in one pass over the batches.

    Only differences within a window count: a speaker's usual opening and the sound of a microphone
    are the same in all rows of a window, and explain each other by chance. (In statistics, this is
    the estimator of fixed effects.)

    Args:
        predictor: predictor to set, in place.
        batches: training windows, at least one batch.
        motion_basis: directions of the predicted motion, orthonormal. [K, P, 3]
        ridge_fraction: strength of the regularization as a fraction of the inputs' variance.

    Source: Hoerl and Kennard 1970, Ridge Regression: Biased Estimation for Nonorthogonal Problems
    (Technometrics 12(1)).
    """
    taps = predictor.map.kernel_size[0]
    directions = torch.from_numpy(motion_basis.reshape(len(motion_basis), -1))
    columns = predictor.map.in_channels * taps
    # Sums of products over all rows of all batches, and sums for the means.
    gram = torch.zeros(columns, columns, dtype=torch.float64)
    moments = torch.zeros(columns, len(motion_basis), dtype=torch.float64)
    total_x = torch.zeros(columns, dtype=torch.float64)
    total_y = torch.zeros(len(motion_basis), dtype=torch.float64)
    num_rows = 0
    for batch in batches:
        x = _context_windows(batch.features[:, :: predictor.map.stride[0]], taps)
        y = batch.target.flatten(2) @ directions.T
        total_x += x.sum(dim=(0, 1)).double()
        total_y += y.sum(dim=(0, 1)).double()
        num_rows += x.shape[0] * x.shape[1]
        x = (x - x.mean(dim=1, keepdim=True)).flatten(0, 1)
        y = (y - y.mean(dim=1, keepdim=True)).flatten(0, 1)
        gram += (x.T @ x).double()
        moments += (x.T @ y).double()
    gram.diagonal().add_(ridge_fraction * gram.diagonal().mean())
    weights = torch.linalg.solve(gram, moments)
    # The mean of all windows is predicted from their mean features.
    bias = (total_y - total_x @ weights) / num_rows
    predictor.map.weight.copy_(weights.T.unflatten(1, (-1, taps)).float())
    predictor.map.bias.copy_(bias.float())  # type: ignore[union-attr]


def _context_windows(rows: Tensor, taps: int) -> Tensor:
    """Collect the inputs of every row. [B, R, width] -> [B, R, width * taps]"""
    half = taps // 2 * TAP_SPACING_ROWS
    windows = F.pad(rows, (0, 0, half, half)).unfold(1, 2 * half + 1, 1)[..., ::TAP_SPACING_ROWS]
    return windows.flatten(2)
