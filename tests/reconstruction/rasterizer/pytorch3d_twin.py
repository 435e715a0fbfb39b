"""A stand-in for the parts of PyTorch3D that dubfew calls, for machines without it.

PyTorch3D has no wheel on PyPI. This is a slow reading of its documented behavior (0.7): its axes (x
to the left, y up, the shorter side from -1 to 1), faces counted through the whole batch, faces of
no area left out, perspective-correct barycentrics with gradients. It shows that dubfew's calls mean
what they should; it does not show that PyTorch3D works.
"""

from __future__ import annotations

import sys
from types import ModuleType

import pytest
import torch
from torch import Tensor


class Meshes:
    """N meshes, given as lists or as tensors."""

    def __init__(self, verts: Tensor | list[Tensor], faces: Tensor | list[Tensor]) -> None:
        self.verts, self.faces = list(verts), list(faces)


def rasterize_meshes(
    meshes: Meshes,
    image_size: int | tuple[int, int] = 256,
    blur_radius: float = 0.0,
    faces_per_pixel: int = 8,
    bin_size: int | None = None,
    max_faces_per_bin: int | None = None,
    perspective_correct: bool = False,
    clip_barycentric_coords: bool = False,
    cull_backfaces: bool = False,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return packed faces [N, H, W, 1], depths, barycentrics [N, H, W, 1, 3] and distances."""
    assert blur_radius == 0
    assert faces_per_pixel == 1
    assert perspective_correct
    height, width = (image_size, image_size) if isinstance(image_size, int) else image_size
    shorter = min(height, width)
    # Pixel centers, from the largest x and y to the smallest.
    x = (width - 1 - 2 * torch.arange(width)) / shorter
    y = (height - 1 - 2 * torch.arange(height)) / shorter
    y, x = torch.meshgrid(y, x, indexing="ij")
    pictures, first = [], 0
    for vertices, faces in zip(meshes.verts, meshes.faces, strict=True):
        nearest = torch.full((height, width), float("inf"))
        index = torch.full((height, width), -1)
        weights = torch.zeros(height, width, 3)
        for number, face in enumerate(faces):
            a, b, c = vertices[face]
            area = _edge(b, a[0], a[1], c)
            size = float(area.detach())
            if abs(size) <= 1e-8 or (cull_backfaces and size < 0):
                continue
            flat = torch.stack([_edge(b, x, y, c), _edge(c, x, y, a), _edge(a, x, y, b)])
            flat = flat / area
            by_depth = flat / torch.stack([a[2], b[2], c[2]])[:, None, None]
            correct = by_depth / by_depth.sum(0)
            depth = (correct * torch.stack([a[2], b[2], c[2]])[:, None, None]).sum(0)
            here = (flat.detach() > 0).all(0) & (depth.detach() >= 0) & (depth.detach() < nearest)
            nearest = torch.where(here, depth.detach(), nearest)
            index = torch.where(here, first + number, index)
            weights = torch.where(here[..., None], correct.permute(1, 2, 0), weights)
        weights = torch.where((index >= 0)[..., None], weights, -torch.ones(()))
        pictures.append((index, nearest, weights))
        first += len(faces)
    index, nearest, weights = (torch.stack(each) for each in zip(*pictures, strict=True))
    return index[..., None], nearest[..., None], weights[:, :, :, None], torch.zeros(())


def _edge(a: Tensor, x: Tensor, y: Tensor, b: Tensor) -> Tensor:
    """Twice the signed area of a triangle (a, (x, y), b)."""
    return (x - a[0]) * (b[1] - a[1]) - (y - a[1]) * (b[0] - a[0])


def install_twin(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let dubfew import this instead of PyTorch3D."""
    for name in ("pytorch3d", "pytorch3d.renderer", "pytorch3d.renderer.mesh"):
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    inner = ModuleType("pytorch3d.renderer.mesh.rasterize_meshes")
    inner.rasterize_meshes = rasterize_meshes  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, inner.__name__, inner)
    structures = ModuleType("pytorch3d.structures")
    structures.Meshes = Meshes  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, structures.__name__, structures)
