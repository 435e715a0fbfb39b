from __future__ import annotations

import numpy as np
import pytest
import torch

from dubfew.reconstruction.fitting.photometric.shading import (
    MIN_SHADING,
    compute_shading_jacobian,
    linear_to_srgb,
    linear_to_srgb_derivative,
    sh_basis,
    shade_normals,
    solve_lighting,
    srgb_to_linear,
    vertex_normals,
)
from dubfew.synthetic.lighting import sh_basis as reference_basis

COSINE = torch.tensor([1.0, *[2 / 3] * 3, *[1 / 4] * 5])  # a clamped cosine's spectrum over pi


def directions(count: int, seed: int = 0) -> torch.Tensor:
    points = torch.randn(count, 3, generator=torch.Generator().manual_seed(seed))
    return torch.nn.functional.normalize(points, dim=-1)


def test_the_basis_is_orthonormal_on_the_sphere():
    points = directions(200_000)
    gram = 4 * np.pi * sh_basis(points).T @ sh_basis(points) / len(points)
    assert (gram - torch.eye(9)).abs().max() < 0.02


def test_the_basis_is_that_of_the_synthetic_people():
    points = directions(50)
    assert np.allclose(sh_basis(points), reference_basis(points.numpy()), atol=1e-6)


def test_a_lamp_lights_by_the_cosine():
    lamp = directions(1, seed=3)[0]
    lighting = (np.pi * COSINE * sh_basis(lamp))[:, None].expand(9, 3)
    normals = directions(500, seed=4)
    cosine = normals @ lamp
    # The first terms of a clamped cosine's series in Legendre polynomials.
    series = 1 / 4 + cosine / 2 + 5 / 32 * (3 * cosine**2 - 1)
    light = shade_normals(normals, lighting)
    assert torch.allclose(light[:, 1], series.clamp_min(MIN_SHADING), atol=1e-5)
    assert (light[:, 0] - cosine.clamp_min(0)).abs().max() < 0.094


def test_light_is_never_dark():
    assert (shade_normals(directions(20), -torch.ones(9, 3)) >= MIN_SHADING).all()


def test_slopes_of_light_are_its_derivatives():
    normals = directions(6).double().requires_grad_()
    lighting = torch.rand(9, 3, dtype=torch.float64) * 0.1
    lighting[0] += 5
    slope = compute_shading_jacobian(normals, lighting)
    for c in range(3):
        (expected,) = torch.autograd.grad(shade_normals(normals, lighting)[:, c].sum(), normals)
        # The zonal term knows only z; all of these are derivatives off the sphere as well.
        assert torch.allclose(slope[:, c], expected, atol=1e-9)


def test_light_and_normals_have_right_gradients():
    vertices = torch.randn(5, 3, dtype=torch.float64, requires_grad=True)
    faces = torch.tensor([[0, 1, 2], [0, 2, 3], [0, 3, 4], [1, 2, 4]])
    lighting = torch.rand(9, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(
        lambda v, k: shade_normals(vertex_normals(v, faces), k + 1), (vertices, lighting)
    )


def test_normals_of_a_sphere_point_outwards():
    angles = torch.linspace(0, 2 * np.pi, 33)[:-1]
    heights = torch.linspace(0.2, np.pi - 0.2, 17)
    around, down = torch.meshgrid(angles, heights, indexing="ij")
    points = torch.stack(
        [down.sin() * around.cos(), down.sin() * around.sin(), down.cos()], -1
    ).reshape(-1, 3)
    i, j = torch.meshgrid(torch.arange(32), torch.arange(16), indexing="ij")
    a, b = i * 17 + j, (i + 1) % 32 * 17 + j
    faces = torch.cat([torch.stack([a, a + 1, b], -1), torch.stack([b, a + 1, b + 1], -1)]).reshape(
        -1, 3
    )
    inner = points[:, 2].abs() < 0.9
    assert ((vertex_normals(points, faces) * points).sum(-1)[inner] > 0.99).all()


def test_display_colours_go_there_and_back():
    colours = torch.linspace(0, 1, 101, dtype=torch.float64)
    assert torch.allclose(linear_to_srgb(srgb_to_linear(colours)), colours, atol=1e-6)
    linear = torch.linspace(0.001, 1.5, 60, dtype=torch.float64).requires_grad_()
    (expected,) = torch.autograd.grad(linear_to_srgb(linear).sum(), linear)
    assert torch.allclose(linear_to_srgb_derivative(linear), expected)


@pytest.mark.parametrize("seed", [0, 1])
def test_known_light_is_found_again(seed: int):
    generator = torch.Generator().manual_seed(seed)
    normals = directions(4000, seed)
    albedo = torch.rand(4000, 3, generator=generator) * 0.5 + 0.2
    lighting = torch.rand(9, 3, generator=generator) * 0.3
    lighting[0] = 3.0
    colour = albedo * shade_normals(normals, lighting)
    found = solve_lighting(colour, albedo, normals, torch.ones(4000), lighting * 0, 1e-7)
    assert torch.allclose(found, lighting, atol=1e-3)


def test_light_stays_near_what_is_known_where_nothing_is_seen():
    near = torch.rand(9, 3)
    empty = torch.zeros(0, 3)
    found = solve_lighting(empty, empty, empty, torch.zeros(0), near, 1e-3)
    assert torch.allclose(found, near, atol=1e-5)
