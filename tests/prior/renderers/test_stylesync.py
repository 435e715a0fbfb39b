"""The generator of "Dubbing for Everyone": size, gradients, equal forms, ablations."""

from __future__ import annotations

import copy
import dataclasses

import pytest
import torch
from torch.nn import functional as F

from dubfew.adapt.methods import METHODS
from dubfew.errors import ArtefactError, ShapeError
from dubfew.prior.critics.stylesync import StyleSyncCritic
from dubfew.prior.renderers import RENDERERS, make_renderer
from dubfew.prior.renderers._stylesync import ModulatedConvolution
from tests.data.clips import noise_inputs

TINY = {**RENDERERS["stylesync"].tiny, "narrow": 32, "style": 16, "mapping": 1}


@pytest.fixture
def tiny():
    torch.manual_seed(0)
    return make_renderer("stylesync", TINY)


def without_gradient(network) -> list[str]:
    trained = [(n, p) for n, p in network.named_parameters() if p.requires_grad]
    assert trained
    return [n for n, p in trained if p.grad is None or not p.grad.any()]


def test_it_has_the_papers_size():
    with torch.device("meta"):
        full = make_renderer("stylesync", {})
        critic = StyleSyncCritic(256, 5)
    millions = [sum(p.numel() for p in each.parameters()) / 1e6 for each in (full, critic)]
    assert millions == pytest.approx([74.4, 28.9], abs=0.1)
    config = full.config
    assert (config.layout, config.frames, config.texture_channels) == ("face256", 5, 16)
    assert full.face.enter.in_channels == 5 * (16 + 3)


def test_a_gradient_reaches_every_parameter(tiny):
    painted = tiny(noise_inputs(tiny.config, 2))
    assert painted.shape == (2, 3, 3, 64, 64)
    assert 0 < float(painted.detach().min()) < float(painted.detach().max()) < 1
    (painted**2).sum().backward()
    assert without_gradient(tiny) == []


def test_lora_is_trained_merged_and_equal_to_the_prior_at_first(tiny):
    method = METHODS.load("lora")
    options = method.complete_options({"rank": 2})
    inputs = noise_inputs(tiny.config)
    plain = tiny(inputs).detach()
    prior = copy.deepcopy(tiny.state_dict())
    model = method.make_trainable(copy.deepcopy(tiny), options)
    torch.testing.assert_close(model(inputs).detach(), plain)
    # The first matrix gets a gradient as soon as the second is not zero.
    for name, parameter in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.05)
    changed = model(inputs)
    (changed**2).sum().backward()
    assert without_gradient(model) == []
    merged = method.apply_delta(tiny, method.extract_delta(model, prior), options)
    torch.testing.assert_close(merged(inputs), changed, atol=1e-5, rtol=0)
    assert (changed - plain).abs().max() > 1e-3


def test_modulation_equals_weights_of_each_sample():
    torch.manual_seed(0)
    layer = ModulatedConvolution(6, 4, 3, 5)
    x, style = torch.randn(3, 6, 8, 8), torch.randn(3, 5)
    scale = layer.scale(style)
    # StyleGAN2, equations 1 and 3.
    for sample in range(3):
        weight = layer.convolution.weight * scale[sample][None, :, None, None]
        weight = weight * torch.rsqrt(weight.square().sum((1, 2, 3), keepdim=True) + 1e-8)
        expected = F.conv2d(x[sample : sample + 1], weight, padding=1)
        torch.testing.assert_close(
            layer(x, style)[sample : sample + 1], expected, atol=1e-5, rtol=1e-5
        )


def test_other_sound_paints_another_picture(tiny):
    inputs, other = noise_inputs(tiny.config), noise_inputs(tiny.config, seed=1)
    swapped = tiny(dataclasses.replace(inputs, sound=other.sound))
    assert (swapped - tiny(inputs)).abs().max() > 1e-4


@pytest.mark.parametrize(
    "switch", [{"composite": "concat"}, {"mask_skips": True}, {"hears": False}, {"mapping": 0}]
)
def test_every_switch_paints(switch):
    network = make_renderer("stylesync", {**TINY, **switch})
    assert network(noise_inputs(network.config)).shape == (1, 3, 3, 64, 64)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"layout": "dinet64", "shrink": 1}, "square"),
        ({"shrink": 3}, "shrunk by 3"),
        ({"references": 2}, "one for each frame"),
        ({"composite": "add"}, "composite"),
    ],
)
def test_sizes_that_do_not_fit_are_errors(change, message):
    with pytest.raises(ArtefactError, match=message):
        make_renderer("stylesync", {**TINY, **change})


def test_windows_of_another_length_are_errors(tiny):
    longer = make_renderer("stylesync", {**TINY, "frames": 5, "references": 5})
    with pytest.raises(ShapeError, match="5 frames"):
        tiny(noise_inputs(longer.config))


def test_the_critic_judges_parts_apart():
    torch.manual_seed(0)
    critic = StyleSyncCritic(16, 2, narrow=64)
    a, b = torch.rand(2, 2, 3, 16, 16), torch.rand(2, 2, 3, 16, 16)
    together = critic(torch.cat([a, b]), 2)
    torch.testing.assert_close(together, torch.cat([critic(a), critic(b)]))
    together.square().sum().backward()
    assert without_gradient(critic) == []
