from __future__ import annotations

import numpy as np
import pytest
import torch

from dubfew.reconstruction.heads import head_torch
from dubfew.reconstruction.heads.head_model import load_head_model
from dubfew.reconstruction.heads.vertex_normals import compute_vertex_normals


def test_corner_of_a_cube_points_along_the_diagonal():
    # Three faces of equal area around vertex 0, on the negative sides of a cube.
    vertices = np.array([[0.0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]])
    faces = np.array([[0, 2, 1], [0, 3, 2], [0, 1, 3]])
    expected = np.full(3, -1 / np.sqrt(3))
    np.testing.assert_allclose(compute_vertex_normals(vertices, faces)[0], expected)


def test_normals_of_the_head_point_outwards():
    head = load_head_model()
    normals = compute_vertex_normals(head.template, head.faces)
    nose_tip = head.point_matrix((1,))[0].argmax()
    assert normals[nose_tip, 2] > 0.8


def test_vertices_without_area_have_zero_normals():
    vertices = np.array([[0.0, 0, 0], [1, 0, 0], [2, 0, 0], [0, 9, 0]])
    faces = np.array([[0, 1, 2]])
    assert not compute_vertex_normals(vertices, faces).any()
    assert not head_torch.compute_vertex_normals(torch.tensor(vertices), torch.tensor(faces)).any()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_torch_twin_gives_the_same_values(dtype: type):
    head = load_head_model()
    vertices = head.template.astype(dtype)
    twin = head_torch.compute_vertex_normals(
        torch.from_numpy(vertices), torch.from_numpy(head.faces.astype(np.int64))
    )
    np.testing.assert_allclose(
        compute_vertex_normals(vertices, head.faces),
        twin.numpy(),
        rtol=0,
        atol=1e-5 if dtype == np.float32 else 1e-12,
    )


def test_torch_twin_gradients_agree_with_differences():
    generator = torch.Generator().manual_seed(0)
    vertices = torch.randn(5, 3, dtype=torch.float64, generator=generator, requires_grad=True)
    faces = torch.tensor([[0, 1, 2], [0, 2, 3], [0, 3, 4], [1, 2, 4]])
    assert torch.autograd.gradcheck(
        lambda points: head_torch.compute_vertex_normals(points, faces), (vertices,)
    )
