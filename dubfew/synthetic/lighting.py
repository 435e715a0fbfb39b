"""Light of a scene: second-order spherical harmonics for diffuse light, one lamp for highlights."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dubfew.reconstruction.shading_model import (
    CLAMPED_COSINE_FACTORS,
    SH_NORMALIZATION,
    sh_basis,
)


@dataclass(frozen=True)
class SceneLight:
    """Light of a scene. Axes: x to the image's right, y up, z towards the camera.

    Attributes:
        sh_coefficients: diffuse light as in ``Track.lighting``: linear RGB that a white surface
            sends back, by ``shading_model.sh_basis`` of its normal. [9, 3]
        direction: unit vector towards the lamp whose reflections are seen. [3]
        color: linear RGB of that lamp's highlights. [3]
    """

    sh_coefficients: NDArray[np.float32]
    direction: NDArray[np.float32]
    color: NDArray[np.float32]


def lamp_harmonics(
    direction: NDArray,  # [3]
    color: NDArray,  # [3]
) -> NDArray[np.float64]:  # [9, 3]
    """Compute the diffuse light of one distant lamp as coefficients of spherical harmonics.

    Args:
        direction: towards the lamp, of any length. [3]
        color: linear RGB that a white surface facing the lamp sends back. [3]

    Returns:
        Coefficients, the clamped cosine's factors included. [9, 3]

    Source: Ramamoorthi and Hanrahan 2001, "An Efficient Representation for Irradiance Environment
    Maps" (SIGGRAPH), eq. 5 to 9.
    """
    unit = direction / np.linalg.norm(direction)
    return np.outer(CLAMPED_COSINE_FACTORS * sh_basis(unit), color) * np.pi


def sample_light(rng: np.random.Generator) -> SceneLight:
    """Draw the light of an interview: key lamp, fill, rim and the soft light of a room.

    The key lamp stands high on one side before the face, the fill lamp opposite and lower, the
    rim lamp behind. All ranges are by eye.
    """
    side = rng.choice([-1.0, 1.0])
    key = np.array([side * rng.uniform(0.35, 0.85), rng.uniform(0.25, 0.65), rng.uniform(0.7, 1.0)])
    fill = np.array([-side * rng.uniform(0.5, 1.0), rng.uniform(-0.1, 0.3), rng.uniform(0.4, 0.9)])
    rim = np.array([-side * 0.9, 0.4, -0.7])
    # Tungsten to daylight. The fill light has the opposite tint, as sky has against a lamp.
    warm = rng.uniform(-0.08, 0.10)
    white = np.array([1 + warm, 1.0, 1 - warm])
    strength = rng.uniform(0.80, 1.0)
    harmonics = np.zeros((9, 3))
    for direction, color in (
        (key, strength * white),
        (fill, rng.uniform(0.15, 0.35) * (2 - white)),
        (rim, rng.uniform(0.05, 0.3) * np.ones(3)),
    ):
        harmonics += lamp_harmonics(direction, color)
    # The room is lit from everywhere (first harmonic), a little more from above (second).
    ambient = rng.uniform(0.16, 0.26) * np.ones(3)
    harmonics[0] += ambient / SH_NORMALIZATION[0]
    harmonics[1] += 0.25 * ambient / SH_NORMALIZATION[1]
    unit = key / np.linalg.norm(key)
    return SceneLight(
        harmonics.astype(np.float32), unit.astype(np.float32), (strength * white).astype(np.float32)
    )
