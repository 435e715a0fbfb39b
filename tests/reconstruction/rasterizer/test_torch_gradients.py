"""Barycentrics in torch: the values of the raster, with correct gradients."""

from __future__ import annotations

import importlib.util

import numpy as np
import pytest
import torch

from dubfew.errors import ShapeError
from dubfew.reconstruction.rasterizer.base import RasterizedMesh
from dubfew.reconstruction.rasterizer.interpolation import interpolate_attributes
from dubfew.reconstruction.rasterizer.raster import rasterize_mesh
from dubfew.reconstruction.rasterizer.torch_gradients import (
    compute_barycentrics,
    interpolate_differentiably,
)

HAS_PYTORCH3D = importlib.util.find_spec("pytorch3d") is not None


def random_triangles(seed, count=12, size=24.0):
    """Triangles in general position, near and far corners mixed."""
    rng = np.random.default_rng(seed)
    corners = rng.uniform(0, size, (count, 3, 2))
    depth = rng.uniform(0.5, 2.0, (count, 3, 1))
    vertices = np.concatenate([corners, depth], -1).reshape(-1, 3).astype(np.float32)
    return vertices, np.arange(3 * count, dtype=np.int32).reshape(-1, 3)


@pytest.mark.parametrize(("left", "top"), [(0, 0), (3, 5)])
def test_equals_the_raster(left, top):
    vertices, faces = random_triangles(0)
    raster = rasterize_mesh(vertices, faces, 18, 20, left=left, top=top)
    ours = compute_barycentrics(
        torch.from_numpy(vertices).double(), faces, raster, left=left, top=top
    )
    np.testing.assert_allclose(ours, raster.barycentric[raster.coverage], atol=1e-5)


def test_interpolates_like_the_numpy_version():
    vertices, faces = random_triangles(1)
    raster = rasterize_mesh(vertices, faces, 20, 20)
    colors = np.random.default_rng(2).uniform(size=(len(vertices), 4)).astype(np.float32)
    ours = interpolate_differentiably(
        torch.from_numpy(vertices), faces, raster, torch.from_numpy(colors)
    )
    np.testing.assert_allclose(ours, interpolate_attributes(raster, faces, colors), atol=1e-4)
    assert (ours[torch.from_numpy(~raster.coverage)] == 0).all()


def test_gradients():
    vertices, faces = random_triangles(3, count=3, size=6.0)
    raster = rasterize_mesh(vertices, faces, 6, 6)
    mesh = torch.from_numpy(vertices).double().requires_grad_()
    colors = torch.rand(len(vertices), 2, dtype=torch.float64, requires_grad=True)
    assert raster.coverage.any()
    assert torch.autograd.gradcheck(
        lambda v, c: interpolate_differentiably(v, faces, raster, c), (mesh, colors)
    )


def test_an_empty_raster():
    vertices, faces = random_triangles(4)
    nothing = RasterizedMesh(np.full((4, 5), -1, np.int32), np.zeros((4, 5, 3), np.float32))
    mesh = torch.from_numpy(vertices)
    assert compute_barycentrics(mesh, faces, nothing).shape == (0, 3)
    assert (interpolate_differentiably(mesh, faces, nothing, mesh) == 0).all()


def test_wrong_shapes():
    vertices, faces = random_triangles(5)
    raster = rasterize_mesh(vertices, faces, 20, 20)
    mesh = torch.from_numpy(vertices)
    with pytest.raises(ShapeError, match=r"\[V, 3\]"):
        compute_barycentrics(mesh[:, :2], faces, raster)
    with pytest.raises(ShapeError, match="of a mesh with 1"):
        compute_barycentrics(mesh, faces[:1], raster)
    with pytest.raises(ShapeError, match="attributes"):
        interpolate_differentiably(mesh, faces, raster, mesh[:3])


@pytest.mark.skipif(not HAS_PYTORCH3D, reason="needs PyTorch3D")
@pytest.mark.parametrize(("height", "width"), [(40, 40), (36, 52), (52, 36)])
def test_gradients_are_those_of_pytorch3d(height, width):
    from pytorch3d.renderer.mesh.rasterize_meshes import rasterize_meshes
    from pytorch3d.structures import Meshes

    vertices, faces = random_triangles(6, size=40.0)
    mine = torch.from_numpy(vertices).requires_grad_()
    theirs = torch.from_numpy(vertices).requires_grad_()
    half = min(height, width) / 2
    centre = torch.tensor([width / 2, height / 2])
    ndc = torch.cat([(centre - theirs[:, :2]) / half, theirs[:, 2:]], 1)
    index, _, weights, _ = rasterize_meshes(
        Meshes(verts=[ndc], faces=[torch.from_numpy(faces.astype(np.int64))]),
        image_size=(height, width),
        blur_radius=0.0,
        faces_per_pixel=1,
        perspective_correct=True,
    )
    raster = rasterize_mesh(vertices, faces, height, width)
    same = (raster.face_id == index[0, ..., 0].numpy()) & raster.coverage
    # Near its edges a triangle's barycentrics are the same, but who owns the pixel may differ.
    assert same.sum() > 0.99 * raster.coverage.sum()
    colors = torch.rand(len(vertices), 3, generator=torch.Generator().manual_seed(0))
    where = torch.from_numpy(same)
    image = interpolate_differentiably(mine, faces, raster, colors)[where]
    corners = torch.from_numpy(faces[raster.face_id[same]].astype(np.int64))
    reference = (weights[0, ..., 0, :][where][..., None] * colors[corners]).sum(1)
    torch.testing.assert_close(image, reference, atol=1e-3, rtol=0)
    weight = torch.randn(image.shape, generator=torch.Generator().manual_seed(1))
    (image * weight).sum().backward()
    (reference * weight).sum().backward()
    assert mine.grad is not None
    assert theirs.grad is not None
    error = (mine.grad - theirs.grad).norm() / theirs.grad.norm()
    assert error < 1e-3
