"""Spherical harmonics and the sRGB transfer curve in torch: ``shading_model.py`` with gradients."""

from __future__ import annotations

import torch
from torch import Tensor

from dubfew.reconstruction.shading_model import (
    LINEAR_SRGB_BELOW,
    SH_NORMALIZATION,
    SRGB_LINEAR_BELOW,
)


def sh_basis(
    normals: Tensor,  # [..., 3]
) -> Tensor:  # [..., 9]
    """Evaluate the nine spherical harmonics of unit normals; differentiable.

    Args:
        normals: unit vectors in view axes. [..., 3]

    Returns:
        Values in the order of ``Track.lighting``. [..., 9]

    Source: Ramamoorthi and Hanrahan 2001, "An Efficient Representation for Irradiance Environment
    Maps" (SIGGRAPH), eq. 3.
    """
    x, y, z = normals.unbind(-1)
    terms = [torch.ones_like(x), y, z, x, x * y, y * z, 3 * z * z - 1, x * z, x * x - y * y]
    return torch.stack(terms, -1) * normals.new_tensor(SH_NORMALIZATION)


def srgb_to_linear(srgb: Tensor) -> Tensor:
    """Convert sRGB display values in [0, 1] to linear light of any shape; differentiable."""
    # The power is clamped: where the linear part applies, it must not put NaN into gradients.
    curved = ((srgb.clamp_min(SRGB_LINEAR_BELOW) + 0.055) / 1.055) ** 2.4
    return torch.where(srgb <= SRGB_LINEAR_BELOW, srgb / 12.92, curved)


def linear_to_srgb(linear: Tensor) -> Tensor:
    """Convert linear light to sRGB display values of any shape; differentiable.

    Values above 1 follow the same curve, so that their gradient does not vanish.
    """
    curved = 1.055 * linear.clamp_min(LINEAR_SRGB_BELOW) ** (1 / 2.4) - 0.055
    return torch.where(linear <= LINEAR_SRGB_BELOW, 12.92 * linear, curved)


def linear_to_srgb_derivative(linear: Tensor) -> Tensor:
    """Compute the derivative of `linear_to_srgb` at every value in closed form."""
    curved = 1.055 / 2.4 * linear.clamp_min(LINEAR_SRGB_BELOW) ** (1 / 2.4 - 1)
    return torch.where(linear <= LINEAR_SRGB_BELOW, torch.full_like(linear, 12.92), curved)
