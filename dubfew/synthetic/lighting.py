"""Light: second-order spherical harmonics for the diffuse share, one lamp for highlights."""

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
        sh_coefficients: what a normal's diffuse light is made of, RGB, see :func:`sh_basis`. [9, 3]
        direction: towards the lamp, unit. [3]
        color: of the lamp's highlight, linear RGB. [3]
    """

    sh_coefficients: NDArray[np.float32]
    direction: NDArray[np.float32]
    color: NDArray[np.float32]


def sample_light(rng: np.random.Generator) -> SceneLight:
    """An interview's light: a key lamp high on one side, fill from the other, a soft room."""
    side = rng.choice([-1.0, 1.0])
    key = np.array([side * rng.uniform(0.35, 0.85), rng.uniform(0.25, 0.65), rng.uniform(0.7, 1.0)])
    fill = np.array([-side * rng.uniform(0.5, 1.0), rng.uniform(-0.1, 0.3), rng.uniform(0.4, 0.9)])
    rim = np.array([-side * 0.9, 0.4, -0.7])
    warm = rng.uniform(-0.08, 0.10)
    white = np.array([1 + warm, 1.0, 1 - warm])
    strength = rng.uniform(0.80, 1.0)
    harmonics = np.zeros((9, 3))
    for direction, colour in (
        (key, strength * white),
        (fill, rng.uniform(0.15, 0.35) * (2 - white)),
        (rim, rng.uniform(0.05, 0.3) * np.ones(3)),
    ):
        unit = direction / np.linalg.norm(direction)
        harmonics += np.outer(CLAMPED_COSINE_FACTORS * sh_basis(unit), colour) * np.pi
    ambient = rng.uniform(0.16, 0.26) * np.ones(3)
    harmonics[0] += ambient / SH_NORMALIZATION[0]
    harmonics[1] += 0.25 * ambient / SH_NORMALIZATION[1]
    unit = key / np.linalg.norm(key)
    return SceneLight(
        harmonics.astype(np.float32), unit.astype(np.float32), (strength * white).astype(np.float32)
    )
