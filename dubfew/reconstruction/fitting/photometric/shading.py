"""Diffuse shading of the photometric fit: light on normals, its derivatives, and fitting it.

The conventions of normals and coefficients are those of ``reconstruction.shading_model``.
Everything is differentiable.
"""

from __future__ import annotations

import torch
from torch import Tensor

from dubfew.reconstruction.shading_model import SH_NORMALIZATION
from dubfew.reconstruction.shading_torch import sh_basis

# Coefficients of second-order spherical harmonics, per color.
NUM_SH_COEFFICIENTS = 9
# The light of a pixel never falls below this fraction of full light, so that a division by light
# stays finite where the nine numbers dip below zero.
MIN_SHADING = 0.02


def shade_normals(
    normals: Tensor,  # [..., 3]
    lighting: Tensor,  # [9, 3]
) -> Tensor:  # [..., 3]
    """Compute the light that a white surface sends back.

    Args:
        normals: unit vectors in view axes. [..., 3]
        lighting: coefficients as in ``Track.lighting``. [9, 3]

    Returns:
        Linear RGB, not below ``MIN_SHADING``. [..., 3]
    """
    return (sh_basis(normals) @ lighting).clamp_min(MIN_SHADING)


def compute_shading_jacobian(
    normals: Tensor,  # [..., 3]
    lighting: Tensor,  # [9, 3]
) -> Tensor:  # [..., 3, 3]
    """Compute the derivatives of `shade_normals`, each color by x, y and z of the normal.

    Args:
        normals: unit vectors in view axes. [..., 3]
        lighting: coefficients as in ``Track.lighting``. [9, 3]

    Returns:
        Derivatives [color, axis]. Where the light is held at ``MIN_SHADING`` they are those that it
        would have without. [..., 3, 3]

    Source: Ramamoorthi and Hanrahan 2001, "An Efficient Representation for Irradiance Environment
    Maps" (SIGGRAPH), eq. 12: light is a quadratic form of the normal, so its gradient is linear.
    """
    factor = lighting * lighting.new_tensor(SH_NORMALIZATION)[:, None]
    _, y, z, x, xy, yz, zz, xz, xx = factor.unbind(0)  # [3] each
    # Twice the symmetric matrix of the quadratic form, without its constant part.
    form = torch.stack(
        [
            torch.stack([2 * xx, xy, xz], -1),
            torch.stack([xy, -2 * xx, yz], -1),
            torch.stack([xz, yz, 6 * zz], -1),
        ],
        -1,
    )  # [3 colors, 3, 3]
    slope = normals @ form.permute(1, 0, 2).reshape(3, 9)
    return slope.unflatten(-1, (3, 3)) + torch.stack([x, y, z], -1)


def solve_lighting(
    color: Tensor,  # [P, 3]
    albedo: Tensor,  # [P, 3]
    normals: Tensor,  # [P, 3]
    weight: Tensor,  # [P]
    prior_lighting: Tensor,  # [9, 3]
    stiffness: float,
) -> Tensor:  # [9, 3]
    """Solve for the light under which an albedo has some colors, by least squares.

    Args:
        color: observed colors, linear RGB. [P, 3]
        albedo: albedo at the same pixels, linear RGB. [P, 3]
        normals: unit vectors in view axes. [P, 3]
        weight: importance of each pixel. [P]
        prior_lighting: light that the result is pulled to. Faces show less than half of all
            normals, which leaves combinations of coefficients undetermined. [9, 3]
        stiffness: strength of that pull, over the weight of all pixels.

    Returns:
        Coefficients as in ``Track.lighting``. [9, 3]
    """
    basis = sh_basis(normals)
    pull = stiffness * weight.sum().clamp_min(1e-6) * torch.eye(NUM_SH_COEFFICIENTS).to(basis)
    # Colors are independent of each other: three systems of nine equations.
    result = []
    for c in range(3):
        row = basis * albedo[:, c : c + 1]
        normal = row.T @ (row * weight[:, None]) + pull
        right = row.T @ (weight * color[:, c]) + pull @ prior_lighting[:, c]
        result.append(torch.linalg.solve(normal, right))
    return torch.stack(result, 1)
