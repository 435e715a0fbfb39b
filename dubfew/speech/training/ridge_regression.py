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

# Strength of the regularization as a fraction of the inputs' mean square. From 0.1 to 1 the figures
# for held-out people hardly differ; far less would fit the voices of the training.
RIDGE_FRACTION = 0.3


@torch.no_grad()
def solve_linear_predictor(
    predictor: LinearPredictor, batches: Iterable[SpeechBatch], motion_basis: NDArray[np.float32]
) -> None:
    """Set the predictor's weights by regularized least squares, in one pass over the batches.

    Args:
        predictor: predictor to set, in place.
        batches: training windows, at least one batch.
        motion_basis: directions of the predicted motion, orthonormal. [K, P, 3]

    Source: Hoerl and Kennard 1970, Ridge Regression: Biased Estimation for Nonorthogonal Problems
    (Technometrics 12(1)).
    """
    taps = predictor.map.kernel_size[0]
    directions = torch.from_numpy(motion_basis.reshape(len(motion_basis), -1))
    columns = predictor.map.in_channels * taps + 1
    # Sums of products over all rows of all batches.
    gram = torch.zeros(columns, columns, dtype=torch.float64)
    moments = torch.zeros(columns, len(motion_basis), dtype=torch.float64)
    for batch in batches:
        x = _context_windows(batch.features[:, :: predictor.map.stride[0]], taps).flatten(0, 1)
        y = batch.target.flatten(2).flatten(0, 1) @ directions.T
        gram += (x.T @ x).double()
        moments += (x.T @ y).double()
    gram.diagonal().add_(RIDGE_FRACTION * gram.diagonal().mean())
    # The last column of the inputs is the constant, so the last row is the bias.
    solution = torch.linalg.solve(gram, moments).float()
    predictor.map.weight.copy_(solution[:-1].T.unflatten(1, (-1, taps)))
    predictor.map.bias.copy_(solution[-1])  # type: ignore[union-attr]


def _context_windows(rows: Tensor, taps: int) -> Tensor:
    """Collect the inputs of every row, and a one. [B, R, width] -> [B, R, width * taps + 1]"""
    half = taps // 2 * TAP_SPACING_ROWS
    windows = F.pad(rows, (0, 0, half, half)).unfold(1, 2 * half + 1, 1)[..., ::TAP_SPACING_ROWS]
    return F.pad(windows.flatten(2), (0, 1), value=1.0)
