"""Light against its closed form: what a lamp does to a normal, and where it is brightest."""

from __future__ import annotations

import numpy as np
import pytest

from dubfew.reconstruction.shading_model import SH_NORMALIZATION, sh_basis
from dubfew.synthetic.lighting import lamp_harmonics, sample_light


def directions(count: int) -> np.ndarray:
    points = np.random.default_rng(0).normal(size=(count, 3))
    return points / np.linalg.norm(points, axis=1, keepdims=True)


def test_a_lamp_is_a_clamped_cosine_to_second_order():
    lamp, color = np.array([0.6, -1.2, 2.4]), np.array([1.0, 0.5, 2.0])
    normals = directions(300)
    cosine = normals @ lamp / np.linalg.norm(lamp)
    # A clamped cosine in Legendre polynomials: 1/4 + c/2 + 5/32 (3 c^2 - 1).
    expected = 1 / 4 + cosine / 2 + 5 / 32 * (3 * cosine**2 - 1)
    seen = sh_basis(normals) @ lamp_harmonics(lamp, color)
    np.testing.assert_allclose(seen, np.outer(expected, color), atol=1e-5)
    # The rest of the series is never more than a tenth.
    assert np.abs(seen[:, 0] - np.clip(cosine, 0, None)).max() < 0.1


def test_a_lamp_does_not_depend_on_the_length_of_its_direction():
    near, far = (lamp_harmonics(np.array([0.0, 1, 1]) * k, np.ones(3)) for k in (1, 7))
    np.testing.assert_allclose(near, far, atol=1e-12)


@pytest.mark.parametrize("seed", range(5))
def test_light_is_positive_and_brightest_towards_the_lamp(seed):
    light = sample_light(np.random.default_rng(seed))
    normals = directions(500)
    seen = sh_basis(normals) @ light.sh_coefficients
    assert normals[seen[:, 1].argmax()] @ light.direction > 0.6
    assert seen[normals @ light.direction > 0].min() > 0.05
    assert np.linalg.norm(light.direction) == pytest.approx(1, abs=1e-6)
    assert light.direction[2] > 0.3  # before the face
    assert light.direction[1] > 0.1  # above it


def test_ambient_light_is_brighter_from_above():
    light = sample_light(np.random.default_rng(0))
    mean = (sh_basis(directions(40_000)) @ light.sh_coefficients).mean(0)
    # Over the sphere all harmonics but the first cancel.
    np.testing.assert_allclose(mean, light.sh_coefficients[0] * SH_NORMALIZATION[0], atol=0.01)
    up, down = (sh_basis(np.array([0.0, y, 0])) @ light.sh_coefficients for y in (1, -1))
    assert (up > down).all()


def test_light_is_decided_by_its_random_numbers():
    first, again, other = (sample_light(np.random.default_rng(seed)) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first.sh_coefficients, again.sh_coefficients)
    assert not np.array_equal(first.sh_coefficients, other.sh_coefficients)
