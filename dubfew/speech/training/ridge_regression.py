"""Weights of the linear reader: ridge regression over many windows, solved at once."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from dubfew.speech.network import SPACING, LinearReader
from dubfew.speech.training.batches import Batch

# Of the mean square of the inputs. What people have in common is little against what a window
# holds: from 0.1 to 1 the figures for people held out hardly differ.
RIDGE = 0.3


@torch.no_grad()
def solve_linear(
    reader: LinearReader, batches: Iterable[Batch], basis: NDArray[np.float32]
) -> None:
    """Set the reader's weights by regularised least squares, in one pass over the batches.

    Args:
        reader: to be set.
        batches: at least one.
        basis: that motion is foreseen in, orthonormal. [K, P, 3]
    """
    taps = reader.map.kernel_size[0]
    directions = torch.from_numpy(basis.reshape(len(basis), -1))
    columns = reader.map.in_channels * taps + 1
    gram = torch.zeros(columns, columns, dtype=torch.float64)
    moments = torch.zeros(columns, len(basis), dtype=torch.float64)
    for batch in batches:
        x = _around(batch.frames[:, :: reader.map.stride[0]], taps).flatten(0, 1)
        y = batch.wanted.flatten(2).flatten(0, 1) @ directions.T
        gram += (x.T @ x).double()
        moments += (x.T @ y).double()
    gram.diagonal().add_(RIDGE * gram.diagonal().mean())
    solution = torch.linalg.solve(gram, moments).float()
    reader.map.weight.copy_(solution[:-1].T.unflatten(1, (-1, taps)))
    reader.map.bias.copy_(solution[-1])  # type: ignore[union-attr]


def _around(rows: Tensor, taps: int) -> Tensor:
    """What the reader sees of every row, and a one. [B, R, width] -> [B, R, width * taps + 1]"""
    half = taps // 2 * SPACING
    windows = F.pad(rows, (0, 0, half, half)).unfold(1, 2 * half + 1, 1)[..., ::SPACING]
    return F.pad(windows.flatten(2), (0, 1), value=1.0)
