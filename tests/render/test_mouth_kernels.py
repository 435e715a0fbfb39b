"""Compiled loops of compositing give what torch's operators give."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from dubfew.references.detail import local_detail_energy, restore_high_frequencies
from dubfew.render.mouth_kernels import (
    READY_REFERENCES,
    ReadyReferences,
    blend_references,
    measure_detail,
    mix_pixels,
    restore_detail,
)

REFERENCES, SIZE = 3, 16


@pytest.fixture
def scene() -> dict[str, np.ndarray]:
    """Fields, references and energies; positions also lie outside of the references."""
    rng = np.random.default_rng(0)
    weights = rng.dirichlet(np.ones(REFERENCES), (SIZE, SIZE))
    added = rng.uniform(-0.1, 0.1, (SIZE, SIZE, 3))
    positions = rng.uniform(-1.3, 1.3, (SIZE, SIZE, 2 * REFERENCES))
    return {
        "fields": np.concatenate([weights, added, positions], 2).astype(np.float32),
        "pixels": rng.integers(0, 256, (REFERENCES + 2, 24, 24, 4)).astype(np.float32),
        "places": np.array([3, 0, 4]),
        "energies": rng.random((REFERENCES, 6, 6)).astype(np.float32),
        "window": np.array([3.3, -2.6, 21.7], np.float32),
    }


def sample(images: torch.Tensor, grid: torch.Tensor, mode: str) -> torch.Tensor:
    return F.grid_sample(images, grid, mode=mode, padding_mode="border", align_corners=False)


def test_blend_is_that_of_grid_sample(scene: dict[str, np.ndarray]) -> None:
    box = (1, -5, 30, 20)  # beyond the window on all sides
    colors, energy = blend_references(**scene, box=box)
    left, top, side = map(float, scene["window"])
    u = (torch.arange(box[0], box[2]) + 0.5 - left) * (2 / side) - 1
    v = (torch.arange(box[1], box[3]) + 0.5 - top) * (2 / side) - 1
    grid = torch.stack(torch.meshgrid(u, v, indexing="xy"), -1)[None]
    fields = sample(torch.from_numpy(scene["fields"]).permute(2, 0, 1)[None], grid, "bilinear")[0]
    weights, added, positions = fields.split([REFERENCES, 3, 2 * REFERENCES])
    at = positions.view(REFERENCES, 2, *positions.shape[1:]).permute(0, 2, 3, 1)
    images = torch.from_numpy(scene["pixels"][scene["places"], ..., :3]).permute(0, 3, 1, 2) / 255
    expected = (weights[:, None] * sample(images, at, "bicubic")).sum(0) + added
    np.testing.assert_allclose(colors, expected.permute(1, 2, 0), atol=3e-4)
    energies = sample(torch.from_numpy(scene["energies"])[:, None], at, "bilinear")[:, 0]
    np.testing.assert_allclose(energy, (weights * energies).sum(0), atol=1e-3)


def test_reference_of_hardly_any_weight_changes_no_level(scene: dict[str, np.ndarray]) -> None:
    scene["fields"][..., :REFERENCES] = (1, 0, 0)
    alone, _ = blend_references(**scene, box=(4, 0, 20, 16))
    scene["fields"][..., 1] = 3e-4
    with_other, _ = blend_references(**scene, box=(4, 0, 20, 16))
    assert np.abs(with_other - alone).max() * 255 < 0.2


@pytest.mark.parametrize("scale", [1, 3])
def test_restored_detail_is_that_of_the_tensors(scale: int) -> None:
    rng = np.random.default_rng(1)
    colors = rng.uniform(0.2, 0.7, (27, 40, 3)).astype(np.float32)
    colors[:, 20:] = 0.4  # nothing to amplify
    target = rng.uniform(0, 0.2, (27, 40)).astype(np.float32)
    expected = restore_high_frequencies(
        torch.from_numpy(colors).permute(2, 0, 1)[None], torch.from_numpy(target)[None, None], scale
    )
    restored = restore_detail(colors, target, scale)
    expected_levels = expected[0].permute(1, 2, 0).clamp(0, 1) * 255
    np.testing.assert_allclose(restored, expected_levels, atol=0.02)
    assert np.abs(restored - colors * 255).max() > 5


def test_measured_detail_is_that_of_the_tensors() -> None:
    image = np.random.default_rng(2).integers(0, 256, (26, 26, 3), np.uint8)
    image[:12] = 70  # nothing fine
    tensor = torch.from_numpy(image).permute(2, 0, 1)[None] / 255
    expected = F.avg_pool2d(local_detail_energy(tensor, 2), 4, ceil_mode=True)[0, 0]
    np.testing.assert_allclose(measure_detail(image, 2, 4), expected, atol=1e-6)


def test_references_that_neighbors_share_stay_ready() -> None:
    images = np.random.default_rng(3).integers(0, 256, (20, 4, 4, 3), np.uint8)
    ready = ReadyReferences(images)
    before: dict[int, int] = {}
    for rows in ([0, 1, 2], [2, 1, 5], [5, 5, 2], [9, 8, 7], [2, 1, 11], [12, 13, 14]):
        places = ready.find_places(np.array(rows))
        assert (ready.pixels[places, ..., :3] == images[rows]).all()
        assert len(ready.pixels) == 3 + READY_REFERENCES
        if rows == [2, 1, 5]:
            assert places[:2].tolist() == [before[2], before[1]]
        before = dict(zip(rows, places, strict=True))


def test_opacity_mixes() -> None:
    original = np.full((2, 2, 3), 100, np.uint8)
    mouth = np.full((2, 2, 3), 200, np.float32)
    alpha = np.array([[0, 1], [0.5, 0.25]], np.float32)
    assert mix_pixels(original, mouth, alpha)[..., 0].tolist() == [[100, 200], [150, 125]]
