"""Diffuse light as second-order spherical harmonics, and what colour it makes of an albedo.

Light is distant and diffuse: the light that a surface sends back depends on its normal alone, and
nine numbers per colour say how (Ramamoorthi and Hanrahan 2001). Normals are in view axes: x to
the image's right, y up, z towards the camera. Everything is differentiable.
"""

from __future__ import annotations

import torch
from torch import Tensor

from dubfew.reconstruction.shading_model import SH_NORMALIZATION
from dubfew.reconstruction.shading_torch import sh_basis

NUM_SH_COEFFICIENTS = 9
# The light of a pixel never falls below this share of full light: a logarithm of colour, and a
# division by light, stay finite where the nine numbers dip below zero.
MIN_SHADING = 0.02


def shade_normals(
    normals: Tensor,  # [..., 3]
    lighting: Tensor,  # [9, 3]
) -> Tensor:  # [..., 3]
    """Light that a white surface sends back.

    Args:
        normals: unit vectors in view axes. [..., 3]
        lighting: coefficients, RGB, the cosine's share already in them. [9, 3]

    Returns:
        Linear RGB, not below ``MIN_SHADING``. [..., 3]
    """
    return (sh_basis(normals) @ lighting).clamp_min(MIN_SHADING)


def compute_shading_jacobian(
    normals: Tensor,  # [..., 3]
    lighting: Tensor,  # [9, 3]
) -> Tensor:  # [..., 3, 3]
    """Derivatives of :func:`shade_normals`, each colour by x, y and z of the normal.

    Light is a quadratic form of the normal, so they are linear in it (Ramamoorthi and Hanrahan
    2001, eq. 12). Where the light is held at ``MIN_SHADING`` they are those that it would have.
    """
    factor = lighting * lighting.new_tensor(SH_NORMALIZATION)[:, None]
    _, y, z, x, xy, yz, zz, xz, xx = factor.unbind(0)  # [3] each
    form = torch.stack(
        [
            torch.stack([2 * xx, xy, xz], -1),
            torch.stack([xy, -2 * xx, yz], -1),
            torch.stack([xz, yz, 6 * zz], -1),
        ],
        -1,
    )  # [3 colours, 3, 3]
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
    """The light under which an albedo shows some colours, in closed form.

    Args:
        color: seen, linear. [P, 3]
        albedo: linear. [P, 3]
        normals: unit vectors in view axes. [P, 3]
        weight: of each pixel. [P]
        prior_lighting: what the light is pulled to: flat faces do not show all of it. [9, 3]
        stiffness: of that pull, over the weight of a pixel that shows everything.

    Returns:
        Coefficients of least squares. [9, 3]
    """
    basis = sh_basis(normals)
    pull = stiffness * weight.sum().clamp_min(1e-6) * torch.eye(NUM_SH_COEFFICIENTS).to(basis)
    result = []
    for c in range(3):
        row = basis * albedo[:, c : c + 1]
        normal = row.T @ (row * weight[:, None]) + pull
        right = row.T @ (weight * color[:, c]) + pull @ prior_lighting[:, c]
        result.append(torch.linalg.solve(normal, right))
    return torch.stack(result, 1)
