"""Low-rank updates: the same numbers as PEFT's, at less cost."""

from __future__ import annotations

import subprocess
import sys
from copy import deepcopy

import pytest
import torch
from peft import LoraConfig, inject_adapter_in_model, set_peft_model_state_dict
from peft.tuners.lora import LoraLayer

from dubfew.adapt.methods import METHODS
from tests.adapt.toys import make_toy_adapter, render_pixels
from tests.data.people import TOY

LORA = METHODS["lora"]


def test_the_delta_is_two_small_matrices_for_every_layer(trained, prior):
    rank = LORA.default_options["rank"]
    expected = {}
    for name, value in prior.renderer.state_dict().items():
        layer, _, kind = name.rpartition(".")
        if kind == "weight":
            b = (value.shape[0], rank) + (1, 1) * (value.ndim == 4)
            expected[f"{layer}.lora_A.weight"] = torch.Size((rank, *value.shape[1:]))
            expected[f"{layer}.lora_B.weight"] = torch.Size(b)
    delta = trained[1]["lora"].weights
    assert {name: value.shape for name, value in delta.items()} == expected
    assert any(bool(value.abs().max() > 0) for name, value in delta.items() if "lora_B" in name)


@pytest.mark.slow
def test_merging_imports_no_peft():
    """Rendering merges an actor's weights; PEFT's import takes longer than a short render."""
    code = (
        "import sys; from dubfew.adapt.methods import METHODS; METHODS['lora']; "
        "sys.exit('peft' in sys.modules or 'transformers' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_merged_equals_peft(trained, prior, footage, sample):
    """PEFT's own forward pass shows what the merged renderer shows."""
    result = trained[1]["lora"]
    merged = make_toy_adapter(prior, footage, "lora", result).merge_with_prior(prior)
    plain = deepcopy(prior.renderer)
    targets = [
        n for n, m in plain.named_modules() if isinstance(m, torch.nn.Conv2d | torch.nn.Linear)
    ]
    options = LORA.default_options
    config = LoraConfig(r=options["rank"], lora_alpha=options["alpha"], target_modules=targets)
    inject_adapter_in_model(config, plain)
    set_peft_model_state_dict(plain, result.weights)
    torch.testing.assert_close(
        render_pixels(plain.eval(), result.texture, sample),
        render_pixels(merged, result.texture, sample),
        atol=1e-5,
        rtol=0,
    )


def test_the_merged_forward_pass_has_the_values_and_gradients_of_peft(prior, sample):
    ours = LORA.make_trainable(deepcopy(prior.renderer), {"rank": 3, "alpha": 6})
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, value in ours.named_parameters():
            if "lora_" in name:
                value.copy_(0.1 * torch.randn(value.shape, generator=generator))
    theirs = deepcopy(ours)
    for module in theirs.modules():
        if isinstance(module, LoraLayer):
            del module.forward  # the instance's own; the class's is PEFT's
    texture = torch.zeros(len(sample.target), TOY.texture_channels, *sample.target.shape[2:])
    images = [model(sample.inputs, texture) for model in (ours, theirs)]
    torch.testing.assert_close(*images, atol=1e-5, rtol=0)
    for image in images:
        (image - sample.target).square().sum().backward()
    for (name, a), b in zip(ours.named_parameters(), theirs.parameters(), strict=True):
        assert (a.grad is None) == (b.grad is None) == ("lora_" not in name)
        if a.grad is not None:
            torch.testing.assert_close(a.grad, b.grad, atol=1e-4, rtol=1e-4)
