"""Low-rank updates: the same numbers as PEFT's, at less cost."""

from __future__ import annotations

import inspect
import subprocess
import sys
from copy import deepcopy

import pytest
import torch
from peft import LoraConfig, inject_adapter_in_model, set_peft_model_state_dict

from dubfew.adapt.methods import METHODS, lora
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


def test_training_has_the_values_and_gradients_of_peft(prior, sample):
    ours = LORA.make_trainable(deepcopy(prior.renderer), {"rank": 3, "alpha": 6})
    generator = torch.Generator().manual_seed(0)
    trained = {}
    for name, value in ours.named_parameters():
        assert value.requires_grad == ("lora_" in name)
        if value.requires_grad:
            with torch.no_grad():
                value.copy_(0.1 * torch.randn(value.shape, generator=generator))
            trained[name.replace(".parametrizations.weight.0", "")] = value
    theirs = deepcopy(prior.renderer)
    targets = [
        n for n, m in theirs.named_modules() if isinstance(m, torch.nn.Conv2d | torch.nn.Linear)
    ]
    inject_adapter_in_model(LoraConfig(r=3, lora_alpha=6, target_modules=targets), theirs)
    set_peft_model_state_dict(theirs, LORA.extract_delta(ours, {}))
    texture = torch.zeros(len(sample.target), TOY.texture_channels, *sample.target.shape[2:])
    images = [model(sample.inputs, texture) for model in (ours, theirs)]
    torch.testing.assert_close(*images, atol=1e-5, rtol=0)
    for image in images:
        (image - sample.target).square().sum().backward()
    expected = {
        name.replace(".default.weight", ""): value.grad
        for name, value in theirs.named_parameters()
        if "lora_" in name
    }
    assert set(trained) == set(expected)
    for name, value in trained.items():
        torch.testing.assert_close(value.grad, expected[name], atol=1e-4, rtol=1e-4)


def test_training_starts_at_the_prior_and_imports_no_peft(prior, sample):
    texture = torch.zeros(len(sample.target), TOY.texture_channels, *sample.target.shape[2:])
    start = LORA.make_trainable(deepcopy(prior.renderer), LORA.default_options)
    torch.testing.assert_close(
        start(sample.inputs, texture), prior.renderer(sample.inputs, texture), atol=0, rtol=0
    )
    source = inspect.getsource(lora)
    assert "import peft" not in source
    assert "from peft" not in source
