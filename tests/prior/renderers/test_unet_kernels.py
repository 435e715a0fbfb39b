"""Compiled loops around the layers give what torch's operators give."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from dubfew.prior.renderers._base import pack_fields
from dubfew.prior.renderers._unet import (
    BlendingUNet,
    make_fields,
    make_network_input,
    pack_output_fields,
)
from dubfew.prior.renderers._unet_kernels import compute_tanh, normalize_features
from dubfew.references.warping import warp_references
from tests.data.people import SIZE, TOY


@pytest.fixture
def parts(sample):
    """Inputs with an opening and a moved grid, a texture, the warp and an output."""
    generator = torch.Generator().manual_seed(0)
    inputs = sample.inputs
    noise = torch.randn(inputs.sampling_grid.shape, generator=generator)
    inputs = replace(inputs, sampling_grid=inputs.sampling_grid + 0.01 * noise)
    texture = torch.rand(2, TOY.texture_channels, SIZE, SIZE, generator=generator)
    output = torch.randn(2, 4 * (3 * TOY.references + 4), SIZE // 2, SIZE // 2, generator=generator)
    return inputs, texture, warp_references(inputs), output


def test_the_input_is_that_of_torch(parts):
    inputs, texture, warped, _ = parts
    expected = make_network_input(inputs, texture, warped)  # gradients are on
    with torch.inference_mode():
        found = make_network_input(inputs, texture, warped)
    assert expected.std(dim=(0, 2, 3)).min() > 0.01  # no channel is empty
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)


def test_layers_give_what_they_give_in_training(parts):
    inputs, texture, warped, _ = parts
    torch.manual_seed(0)
    network = BlendingUNet(TOY)
    torch.nn.init.normal_(network.leave.weight, std=0.1)
    network_input = make_network_input(inputs, texture, warped)
    expected = network.run_layers(network_input, inputs.motion)
    with torch.inference_mode():
        found = network.run_layers(network_input.detach().clone(), inputs.motion)
    assert expected.std() > 0.05
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("rigid", [0.0, 1.0])
def test_packed_fields_are_those_of_torch(parts, rigid):
    inputs, _, warped, output = parts
    interior = torch.zeros_like(inputs.rigid_interior)
    interior[:, :, SIZE // 2 : SIZE // 2 + 4, 8:20] = rigid
    inputs = replace(inputs, rigid_interior=interior)
    fields = make_fields(output, inputs, warped, TOY)
    expected = pack_fields(fields, inputs.sampling_grid)
    with torch.inference_mode():
        found = pack_output_fields(output, inputs, warped, TOY)
    assert found.permute(0, 2, 3, 1).is_contiguous()
    rows, columns = (inputs.alpha.amax((0, 1, axis)).nonzero() for axis in (3, 2))
    painted = np.s_[..., rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    torch.testing.assert_close(found[painted], expected[painted], atol=1e-5, rtol=1e-5)
    if rigid:
        bare = pack_fields(make_fields(0 * output, inputs, warped, TOY), inputs.sampling_grid)
        torch.testing.assert_close(
            found[..., SIZE // 2, 10], bare[..., SIZE // 2, 10], atol=1e-5, rtol=1e-5
        )


@pytest.mark.parametrize("paint", [(9, 12, 7, 11), (0, 0, 0, 0)])
def test_fields_far_from_the_paint_are_left_out(parts, paint):
    top, bottom, left, right = paint
    inputs, _, warped, output = parts
    alpha = torch.zeros_like(inputs.alpha)
    alpha[1, :, top:bottom, left:right] = 1
    expected = pack_fields(make_fields(output, inputs, warped, TOY), inputs.sampling_grid)
    with torch.inference_mode():
        found = pack_output_fields(output, replace(inputs, alpha=alpha), warped, TOY)
    near = np.s_[..., 4:16, 2:16] if bottom else np.s_[..., :0, :0]
    torch.testing.assert_close(found[near], expected[near], atol=1e-5, rtol=1e-5)
    beyond = found.clone()
    beyond[near] = 0
    assert not beyond.any()


@pytest.mark.parametrize("channels_last", [True, False])
def test_features_are_normalized_and_activated(channels_last):
    x = 3 * torch.randn(2, 5, 4, 6, generator=torch.Generator().manual_seed(0))
    x[0, :, 1, 1] = 0
    expected = torch.nn.functional.silu(x / (x.square().mean(1, keepdim=True) + 1e-4).sqrt()) * 1.68
    laid = x.contiguous(memory_format=torch.channels_last) if channels_last else x
    found = normalize_features(laid, 1e-4, 1.68)
    torch.testing.assert_close(found, expected, atol=2e-6, rtol=1e-5)


def test_tanh_is_right_to_single_precision():
    x = np.linspace(-20, 20, 100_001, dtype=np.float32)
    found = np.array([compute_tanh(value) for value in x[::50]])
    np.testing.assert_allclose(found, np.tanh(x[::50]), atol=4e-7)
