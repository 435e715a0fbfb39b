from __future__ import annotations

import numpy as np
import pytest
import torch

from dubfew.errors import ShapeError
from dubfew.reconstruction.heads.head_model import load_head_model
from dubfew.reconstruction.rasterizer.interpolation import interpolate_attributes
from dubfew.reconstruction.rasterizer.raster import rasterize_mesh
from dubfew.textures import (
    NeuralTexture,
    sample_texture,
    texture_regularization_loss,
    unwrap_texture,
)


def grid(size: int) -> torch.Tensor:
    at = (torch.arange(size) + 0.5) / size
    return torch.stack(torch.meshgrid(at, at, indexing="xy"), -1)[None]


def test_shape():
    out = sample_texture(torch.zeros(2, 5, 8, 8), torch.rand(2, 6, 7, 2), torch.ones(2, 6, 7) > 0)
    assert out.shape == (2, 5, 6, 7)


def test_value_texel_centres_give_the_texels_back():
    texture = torch.randn(1, 3, 8, 8)
    out = sample_texture(texture, grid(8), torch.ones(1, 8, 8) > 0)
    torch.testing.assert_close(out, texture, atol=1e-5, rtol=0)


def test_value_uncovered_pixels_are_zero():
    mask = torch.zeros(1, 8, 8) > 0
    assert sample_texture(torch.ones(1, 3, 8, 8), grid(8), mask).abs().max() == 0


def test_gradient_reaches_the_texels_that_were_seen_and_no_others():
    texture = torch.zeros(1, 1, 8, 8, requires_grad=True)
    uv = torch.full((1, 1, 1, 2), 0.5 / 8)
    sample_texture(texture, uv, torch.ones(1, 1, 1) > 0).sum().backward()
    assert texture.grad[0, 0, 0, 0] == pytest.approx(1.0)
    assert texture.grad.sum() == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("uv", "mask"), [((2, 4, 4, 2), (2, 4, 4)), ((1, 4, 4, 3), (1, 4, 4)), ((1, 4, 4, 2), (1, 4))]
)
def test_error(uv, mask):
    with pytest.raises(ShapeError, match="do not fit"):
        sample_texture(torch.zeros(1, 3, 8, 8), torch.zeros(uv), torch.zeros(mask))


def test_regularizer_counts_the_first_three_channels_inside_the_mask():
    sampled = torch.zeros(1, 5, 4, 4)
    sampled[:, 3:] = 100
    target = torch.full((1, 3, 4, 4), 0.5)
    mask = torch.zeros(1, 1, 4, 4)
    mask[..., :2] = 1
    assert float(texture_regularization_loss(sampled, target, mask)) == pytest.approx(0.5)


def test_the_compiled_loop_gives_what_torch_gives():
    generator = torch.Generator().manual_seed(0)
    texture = torch.randn(2, 5, 12, 9, generator=generator)
    uv = torch.rand(2, 7, 8, 2, generator=generator) * 1.2 - 0.1  # some beyond the border
    mask = torch.rand(2, 7, 8, generator=generator) > 0.3
    expected = sample_texture(texture, uv, mask)  # gradients are on
    with torch.inference_mode():
        found = sample_texture(texture, uv, mask)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)


def test_a_texture_starts_from_a_photograph():
    torch.manual_seed(0)
    texture = NeuralTexture(2, 6, 16)
    texture.initialize_from_image(1, torch.full((3, 64, 64), 0.25))
    assert texture.features[1, :3].mean().item() == pytest.approx(0.25)
    assert texture.features[0, :3].abs().mean().item() < 0.1
    out = texture(torch.tensor([1, 0]), grid(4).expand(2, -1, -1, -1), torch.ones(2, 4, 4) > 0)
    assert out.shape == (2, 6, 4, 4)


def test_unwrapping_then_sampling_gives_the_picture_back():
    head = load_head_model()
    flat = head.template * np.array([1, -1, -1], np.float32) + np.array([0, 0, 0.6], np.float32)
    vertices = flat.copy()
    vertices[:, :2] = flat[:, :2] * 1000 + 128
    y, x = np.mgrid[:256, :256]
    image = np.stack([x, y, 255 - x], -1).astype(np.uint8)
    texture = unwrap_texture(head, [(image, vertices)])
    assert texture.shape == (256, 256, 3)
    raster = rasterize_mesh(vertices, head.faces, 256, 256)
    uv = torch.from_numpy(interpolate_attributes(raster, head.faces, head.uv))[None]
    sampled = sample_texture(
        torch.from_numpy(texture).permute(2, 0, 1)[None],
        uv,
        torch.from_numpy(raster.coverage)[None],
    )
    lips = np.round(vertices[[0, 17, 61, 291, 199], :2]).astype(int)
    for column, row in lips:
        np.testing.assert_allclose(
            sampled[0, :, row, column].numpy() * 255, image[row, column], atol=6
        )


def test_unseen_texels_are_gray():
    head = load_head_model()
    behind = head.template.copy()
    behind[:, 2] = -1
    texture = unwrap_texture(head, [(np.zeros((8, 8, 3), np.uint8), behind)], 16)
    assert np.unique(texture[0, 0]) == pytest.approx(0.5)
