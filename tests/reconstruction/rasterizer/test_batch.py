"""Batches of meshes as tensors: the same pictures as one by one, and right gradients."""

from __future__ import annotations

import importlib.util

import numpy as np
import pytest
import torch

from dubfew.data.clip_samples import (
    ClipSampleForm,
    SoundFeatureCache,
    make_clip_sample,
    rasterize_clip_sample,
)
from dubfew.errors import MissingDependencyError, ShapeError
from dubfew.reconstruction.heads.head_model import load_head_model
from dubfew.reconstruction.rasterizer.batch import rasterize_batch, rasterizes_on_device
from dubfew.reconstruction.rasterizer.raster import RASTERIZER_ENV_VARIABLE, rasterize_mesh
from tests.data.clips import toy_clip
from tests.reconstruction.rasterizer.pytorch3d_twin import install_twin
from tests.reconstruction.rasterizer.test_raster import random_triangles, sphere

HAS_PYTORCH3D = importlib.util.find_spec("pytorch3d") is not None
HEIGHT, WIDTH = 20, 28


@pytest.fixture(params=["numba", "pytorch3d"])
def backend(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    if request.param == "pytorch3d" and not HAS_PYTORCH3D:
        install_twin(monkeypatch)
    return str(request.param)


def meshes() -> tuple[np.ndarray, np.ndarray]:
    """Two frames of a mesh; one corner of the second is behind the camera."""
    first, faces = random_triangles(3, count=24, size=24.0)
    second = first[:, :] + np.array([1.3, -0.7, 0.1], np.float32)
    second[4, 2] = -1.0
    return np.stack([first, second]), faces


@pytest.mark.parametrize("cull", [False, True])
def test_equals_one_by_one(backend: str, cull: bool) -> None:
    vertices, faces = meshes()
    found = rasterize_batch(
        torch.from_numpy(vertices),
        torch.from_numpy(faces),
        HEIGHT,
        WIDTH,
        cull_backfaces=cull,
        backend=backend,
    )
    for k, mesh in enumerate(vertices):
        one = rasterize_mesh(mesh, faces, HEIGHT, WIDTH, cull_backfaces=cull)
        assert one.coverage.sum() > 40
        np.testing.assert_array_equal(found.face_id[k].numpy(), one.face_id)
        np.testing.assert_allclose(found.barycentric[k].numpy(), one.barycentric, atol=1e-4)


def test_gradients_are_differences_of_values(backend: str) -> None:
    vertices, faces = sphere(rings=3, sectors=5, centre=(14.2, 10.3), radius=8.0)
    mesh, corners = torch.from_numpy(vertices)[None].double(), torch.from_numpy(faces).long()
    colors = torch.rand(len(vertices), 2, generator=torch.Generator().manual_seed(0)).double()
    where = rasterize_batch(mesh, corners, HEIGHT, WIDTH, backend=backend).face_id

    def draw(positions: torch.Tensor) -> torch.Tensor:
        raster = rasterize_batch(positions, corners, HEIGHT, WIDTH, backend=backend)
        # Pixels that change their face are no matter of derivatives.
        same = (raster.face_id == where) & raster.coverage
        image = raster.interpolate(corners, colors)
        return (image.sin() * same[..., None]).sum()

    own = mesh.clone().requires_grad_()
    draw(own).backward()
    assert own.grad is not None
    step = torch.zeros_like(mesh)
    # A corner in the middle of the picture, whose faces stay where they are.
    row = int((mesh[0, :, :2] - torch.tensor([14.0, 10.0])).norm(dim=1).argmin())
    step[0, row, :2] = torch.tensor([1e-4, 2e-4])
    numeric = float(draw(mesh + step) - draw(mesh - step)) / 2
    assert float((own.grad * step).sum()) == pytest.approx(numeric, rel=0.02)


def test_values_of_each_frame_are_its_own(backend: str) -> None:
    vertices, faces = meshes()
    corners = torch.from_numpy(faces).long()
    raster = rasterize_batch(torch.from_numpy(vertices), corners, HEIGHT, WIDTH, backend=backend)
    ones = torch.ones(2, vertices.shape[1], 1) * torch.tensor([1.0, 3.0])[:, None, None]
    image = raster.interpolate(corners, ones)[..., 0]
    for k, value in enumerate((1.0, 3.0)):
        torch.testing.assert_close(image[k], raster.coverage[k] * value)


def test_wrong_meshes_are_refused() -> None:
    vertices, faces = (torch.from_numpy(each) for each in meshes())
    with pytest.raises(ShapeError, match=r"\[N, V, 3\]"):
        rasterize_batch(vertices[0], faces, 4, 4)
    with pytest.raises(ShapeError, match="faces name"):
        rasterize_batch(vertices[:, :5], faces, 4, 4)


@pytest.mark.skipif(HAS_PYTORCH3D, reason="PyTorch3D is installed")
def test_a_missing_backend_is_an_error_with_a_remedy() -> None:
    vertices, faces = (torch.from_numpy(each) for each in meshes())
    with pytest.raises(MissingDependencyError, match=r"INSTALL\.md"):
        rasterize_batch(vertices, faces, 4, 4, backend="pytorch3d")


@pytest.mark.slow
def test_clips_are_rasterized_on_the_device(monkeypatch: pytest.MonkeyPatch) -> None:
    clip, head = toy_clip(), load_head_model()
    form = ClipSampleForm(frames=1, references=1, shrink=8, sound="none", textured=True)

    def sample():
        rows = np.array([1])
        return make_clip_sample(clip, rows, rows, head, form, SoundFeatureCache("none"))

    here = sample()
    assert not rasterizes_on_device()
    assert not here.inputs.vertices.numel()
    if not HAS_PYTORCH3D:
        install_twin(monkeypatch)
    monkeypatch.setenv(RASTERIZER_ENV_VARIABLE, "pytorch3d")
    later = sample()
    assert later.inputs.vertices.shape == (1, 1, len(head.template), 3)
    assert not later.inputs.mesh_mask.any()
    done = rasterize_clip_sample(later, head)
    same = (done.inputs.mesh_mask == here.inputs.mesh_mask)[0, 0, 0]
    assert same.float().mean() > 0.99
    torch.testing.assert_close(
        done.inputs.uv[0, 0][same], here.inputs.uv[0, 0][same], atol=2e-3, rtol=0
    )
    assert not done.inputs.vertices.numel()
