"""Tensors for compiled loops, which take NumPy's arrays."""

from __future__ import annotations

from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor


def fits_kernels(values: Tensor, cell: int = 1) -> bool:
    """Tell whether compiled loops can take a tensor: single precision on a CPU, without gradients.

    Args:
        values: images or features. [..., H, W]
        cell: edge of the cells that a loop goes by, px; it has to divide H and W.
    """
    return (
        values.device.type == "cpu"
        and values.dtype == torch.float32
        and values.shape[-1] % cell == 0
        and values.shape[-2] % cell == 0
        and not torch.is_grad_enabled()
    )


def to_array(values: Tensor) -> NDArray[Any]:
    """Return a tensor as an array in C order, without a copy where it is in it."""
    return values.contiguous().numpy()
