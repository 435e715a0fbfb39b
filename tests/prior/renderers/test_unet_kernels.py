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
from dubfew.prior.renderers._unet_kernels import compute_tanh
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
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)
    if rigid:
        bare = pack_fields(make_fields(0 * output, inputs, warped, TOY), inputs.sampling_grid)
        torch.testing.assert_close(
            found[..., SIZE // 2, 10], bare[..., SIZE // 2, 10], atol=1e-5, rtol=1e-5
        )


def test_tanh_is_right_to_single_precision():
    x = np.linspace(-20, 20, 100_001, dtype=np.float32)
    found = np.array([compute_tanh(value) for value in x[::50]])
    np.testing.assert_allclose(found, np.tanh(x[::50]), atol=4e-7)
