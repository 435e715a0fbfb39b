from __future__ import annotations

import numpy as np
import pytest
import torch

from dubfew.reconstruction.fitting.photometric.shading import (
    MIN_SHADING,
    compute_shading_jacobian,
    shade_normals,
    solve_lighting,
)
from dubfew.reconstruction.heads.head_torch import compute_vertex_normals
from dubfew.reconstruction.shading_model import CLAMPED_COSINE_FACTORS
from dubfew.reconstruction.shading_torch import sh_basis

COSINE = torch.from_numpy(CLAMPED_COSINE_FACTORS).float()


def directions(count: int, seed: int = 0) -> torch.Tensor:
    points = torch.randn(count, 3, generator=torch.Generator().manual_seed(seed))
    return torch.nn.functional.normalize(points, dim=-1)


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
        lambda v, k: shade_normals(compute_vertex_normals(v, faces), k + 1), (vertices, lighting)
    )


@pytest.mark.parametrize("seed", [0, 1])
def test_known_light_is_found_again(seed: int):
    generator = torch.Generator().manual_seed(seed)
    normals = directions(4000, seed)
    albedo = torch.rand(4000, 3, generator=generator) * 0.5 + 0.2
    lighting = torch.rand(9, 3, generator=generator) * 0.3
    lighting[0] = 3.0
    color = albedo * shade_normals(normals, lighting)
    found = solve_lighting(color, albedo, normals, torch.ones(4000), lighting * 0, 1e-7)
    assert torch.allclose(found, lighting, atol=1e-3)


def test_light_stays_near_what_is_known_where_nothing_is_seen():
    near = torch.rand(9, 3)
    empty = torch.zeros(0, 3)
    found = solve_lighting(empty, empty, empty, torch.zeros(0), near, 1e-3)
    assert torch.allclose(found, near, atol=1e-5)
