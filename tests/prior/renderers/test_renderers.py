"""The blending U-Net: shapes, gradients, its start, and its parts."""

from __future__ import annotations

import dataclasses
import subprocess
import sys

import pytest
import torch

from dubfew.errors import ArtefactError
from dubfew.prior.renderers import RENDERERS, BlendingUNet, make_renderer
from dubfew.prior.renderers._unet import ModulatedResidualBlock, blur_residual
from dubfew.references.warping import warp_references
from tests.data.people import SIZE, TOY


def shaken(renderer: BlendingUNet) -> BlendingUNet:
    """Random weights everywhere, as after some training."""
    torch.manual_seed(1)
    with torch.no_grad():
        for parameter in renderer.parameters():
            parameter += 0.05 * torch.randn_like(parameter)
    return renderer


TEXTURE = torch.zeros(2, TOY.texture_channels, SIZE, SIZE)


def test_shape(renderer, sample):
    assert shaken(renderer)(sample.inputs, TEXTURE).shape == (2, 3, SIZE, SIZE)


def test_untrained_it_is_the_bare_warp(renderer, sample):
    bare = warp_references(sample.inputs).blend_references(sample.inputs)
    torch.testing.assert_close(renderer(sample.inputs, TEXTURE), bare, atol=0.004, rtol=0)


def test_gradient_reaches_every_weight(renderer, sample):
    (shaken(renderer)(sample.inputs, TEXTURE) ** 2).sum().backward()
    without = [n for n, p in renderer.named_parameters() if p.grad is None or not p.grad.any()]
    assert without == []


def test_gradient_reaches_the_texture(renderer, sample):
    texture = TEXTURE.clone().requires_grad_()
    shaken(renderer)(sample.inputs, texture).sum().backward()
    assert texture.grad.abs().sum() > 0


def test_blend_weights_sum_to_1_and_are_the_fill_beside_the_mesh(renderer, sample):
    fields = shaken(renderer).predict_fields(sample.inputs, TEXTURE, warp_references(sample.inputs))
    torch.testing.assert_close(fields.blend_weights.sum(1), torch.ones(2, SIZE, SIZE))
    bare = sample.inputs.mesh_mask[:, 0] == 0
    assert bare.any()
    assert (fields.blend_weights[:, -1][bare] == 1).all()


def test_enlarged_fields_reduced_give_the_image(renderer, sample):
    inputs = sample.inputs
    fields = renderer.predict_fields(inputs, TEXTURE, warp_references(inputs))
    small = fields.compose_image(inputs.references, inputs.sampling_grid)
    k = inputs.sampling_grid.shape[1]
    large = torch.nn.functional.interpolate(
        inputs.sampling_grid.flatten(0, 1).permute(0, 3, 1, 2), scale_factor=2, mode="bilinear"
    )
    places = large.permute(0, 2, 3, 1).view(2, k, 2 * SIZE, 2 * SIZE, 2)
    drawn = torch.nn.functional.avg_pool2d(fields.compose_image(inputs.references, places), 2)
    inside = (inputs.alpha > 0.9) & (inputs.mesh_mask > 0)
    assert ((drawn - small).abs() * inside).sum() / inside.sum() / 3 < 0.02


def test_inputs_keep_their_variance_down_to_the_last_layer(renderer, sample):
    # Layers that shrink what passes through them once left the network deaf to its input.
    torch.manual_seed(0)
    fresh = type(renderer)(renderer.config)
    given = []
    fresh.leave.register_forward_hook(lambda _, inputs, __: given.append(inputs[0]))
    for shift in (0.0, 0.05):
        inputs = dataclasses.replace(
            sample.inputs, references=sample.inputs.references * (1 - shift)
        )
        fresh.predict_fields(inputs, TEXTURE, warp_references(inputs))
    assert given[0].std() > 0.3
    assert (given[0] - given[1]).std() > 0.02


def test_modulation_is_demodulated():
    torch.manual_seed(0)
    block = ModulatedResidualBlock(8, 4)
    torch.nn.init.zeros_(block.scale.bias)
    x = torch.randn(1, 8, 6, 6)
    # A scale common to all channels is taken out again.
    with torch.no_grad():
        block.scale.weight[:] = 3.0
    torch.testing.assert_close(
        block(x, torch.ones(1, 4)), block(x, torch.zeros(1, 4)), atol=1e-4, rtol=1e-4
    )


def test_the_table_knows_its_names():
    assert {"lite", "base", "large"} <= set(RENDERERS.names)
    with pytest.raises(ArtefactError, match="there are base, dinet, iptalker, large, lite, "):
        make_renderer("nothing", {})
    with pytest.raises(ArtefactError, match="colour"):
        make_renderer("lite", {"colour": 3})


def test_names_need_no_torch():
    program = (
        "import sys; from dubfew.prior.renderers import RENDERERS; print(*RENDERERS.names); "
        "assert 'torch' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == list(RENDERERS.names)


def test_the_residual_cannot_be_a_grid():
    grid = torch.ones(1, 3, 16, 16)
    grid[..., ::2, :] *= -1
    grid[..., ::2] *= -1
    assert float(blur_residual(grid)[..., 1:-1, 1:-1].abs().max()) < 1e-6
    flat = torch.full((1, 3, 16, 16), 0.3)
    torch.testing.assert_close(blur_residual(flat), flat)
