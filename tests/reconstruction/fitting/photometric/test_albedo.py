from __future__ import annotations

import numpy as np
import pytest
import torch

from dubfew.errors import AssetError
from dubfew.reconstruction.fitting.photometric.albedo import (
    AlbedoSpace,
    FaceAlbedo,
    estimate_albedo,
)
from dubfew.reconstruction.shading_torch import srgb_to_linear

T = 16


def looks(frames: int = 5, seed: int = 0):
    generator = torch.Generator().manual_seed(seed)
    truth = 0.2 + 0.4 * torch.rand(T, T, 3, generator=generator)
    light = 0.8 + 0.4 * torch.rand(frames, T, T, 3, generator=generator)
    return truth, light, torch.ones(frames, T, T)


def test_a_seen_albedo_is_found_whatever_the_light():
    truth, light, weight = looks(40)
    found = estimate_albedo(truth * light, light, weight)
    assert (found.image - truth).abs().max() < 0.01
    assert (found.residual < 0.02).all()


def test_one_frame_that_shows_another_thing_is_outvoted():
    truth, light, weight = looks(9)
    colors = truth * light
    colors[4] = 1.0
    found = estimate_albedo(colors, light, weight)
    assert (found.image - truth).abs().mean() < 0.03


def test_texels_that_nobody_saw_are_skin_and_not_trusted():
    truth, light, weight = looks()
    weight[:, :4] = 0
    found = estimate_albedo(truth * light, light, weight)
    assert torch.isfinite(found.image).all()
    assert (found.image[:4] - truth[4:].mean((0, 1))).abs().max() < 0.05
    assert found.residual[:4].min() >= found.residual[4:].median()


def test_nothing_seen_at_all_is_no_error():
    found = estimate_albedo(torch.zeros(2, T, T, 3), torch.ones(2, T, T, 3), torch.zeros(2, T, T))
    assert torch.isfinite(found.image).all()


def test_an_albedo_is_looked_up_between_texels_with_gradients():
    image = torch.rand(T, T, 3, dtype=torch.float64)
    uv = (torch.rand(6, 2, dtype=torch.float64) * 0.8 + 0.1).requires_grad_()
    spread = torch.rand(T, T, dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda place: FaceAlbedo(image, spread).sample(place), (uv,))
    center = (torch.tensor([[3.5, 7.5]], dtype=torch.float64)) / T
    assert torch.allclose(FaceAlbedo(image, spread).sample(center)[0], image[7, 3])


def test_a_texture_space_is_read_and_kept_to(tmp_path):
    rng = np.random.default_rng(0)
    mean = rng.uniform(90, 160, (32, 32, 3))
    basis = rng.normal(0, 12, (32, 32, 3, 6))
    path = tmp_path / "FLAME_texture.npz"
    np.savez(path, mean=mean, tex_dir=basis)
    space = AlbedoSpace.load(path, texture_size=T)
    assert space.basis.shape == (6, T, T, 3)
    # OpenCV's order of colors.
    assert np.isclose(space.mean[..., 0].mean(), mean[..., 2].mean() / 255, atol=0.01)
    wanted = space.mean + 0.8 * space.basis[2] - 0.5 * space.basis[4]
    _, light, weight = looks()
    found = estimate_albedo(srgb_to_linear(wanted) * light, light, weight, space)
    assert (found.image - srgb_to_linear(wanted)).abs().max() < 0.03


def test_another_file_is_no_texture_space(tmp_path):
    path = tmp_path / "other.npz"
    np.savez(path, mean=np.zeros(4))
    with pytest.raises(AssetError, match="flame-texture"):
        AlbedoSpace.load(path)
