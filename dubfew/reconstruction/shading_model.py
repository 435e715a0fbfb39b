"""Diffuse shading by second-order spherical harmonics, and the sRGB transfer curve, in NumPy.

These are the readable reference versions; ``shading_torch.py`` has the differentiable twins, and
``tests/reconstruction/test_shading_twins.py`` checks that both give the same numbers.

The light is distant and diffuse: the light that a surface sends back depends on its normal alone,
through nine numbers per color. Normals are in view axes: x to the image's right, y up, z towards
the camera.

Source: Ramamoorthi and Hanrahan 2001, "An Efficient Representation for Irradiance Environment
Maps" (SIGGRAPH).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

# Normalization of the real spherical harmonics Y = K * {1, y, z, x, xy, yz, 3z^2 - 1, xz,
# x^2 - y^2}. With it the basis is orthonormal on the sphere. [9]
SH_NORMALIZATION = np.array(
    [0.282095, 0.488603, 0.488603, 0.488603, 1.092548, 1.092548, 0.315392, 1.092548, 0.546274]
)
# Factor of each coefficient when incoming light is convolved with a clamped cosine, over pi:
# bands 0, 1 and 2 (Ramamoorthi and Hanrahan 2001, eq. 7 and 8). [9]
CLAMPED_COSINE_FACTORS = np.array([1.0, *[2 / 3] * 3, *[1 / 4] * 5])
# sRGB (IEC 61966-2-1) is linear below these values and a power law above: as a display value, and
# as linear light.
SRGB_LINEAR_BELOW, LINEAR_SRGB_BELOW = 0.04045, 0.0031308


def sh_basis(
    normals: NDArray,  # [..., 3]
) -> NDArray[np.float64]:  # [..., 9]
    """Evaluate the nine spherical harmonics of unit normals.

    Args:
        normals: unit vectors in view axes. [..., 3]

    Returns:
        Values in the order of ``Track.lighting``. [..., 9]

    Example:
        >>> sh_basis(np.array([0.0, 0.0, 1.0])).round(3).tolist()
        [0.282, 0.0, 0.489, 0.0, 0.0, 0.0, 0.631, 0.0, 0.0]
    """
    x, y, z = np.moveaxis(np.asarray(normals, np.float64), -1, 0)
    terms = [np.ones_like(x), y, z, x, x * y, y * z, 3 * z * z - 1, x * z, x * x - y * y]
    return np.stack(terms, -1) * SH_NORMALIZATION


def srgb_to_linear(srgb: NDArray) -> NDArray:
    """Convert sRGB display values in [0, 1] to linear light of any shape.

    Example:
        >>> float(srgb_to_linear(np.array(0.5)).round(4))
        0.214
    """
    curved = ((np.maximum(srgb, SRGB_LINEAR_BELOW) + 0.055) / 1.055) ** 2.4
    return np.where(srgb <= SRGB_LINEAR_BELOW, srgb / 12.92, curved)


def linear_to_srgb(linear: NDArray) -> NDArray:
    """Convert linear light to sRGB display values; values above 1 follow the same curve.

    Example:
        >>> float(linear_to_srgb(np.array(0.214)).round(3))
        0.5
    """
    curved = 1.055 * np.maximum(linear, LINEAR_SRGB_BELOW) ** (1 / 2.4) - 0.055
    return np.where(linear <= LINEAR_SRGB_BELOW, 12.92 * linear, curved)
