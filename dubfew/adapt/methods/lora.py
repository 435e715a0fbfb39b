"""Train low-rank updates of every convolution and linear layer of the renderer (LoRA, by PEFT).

Actors are small: 386 kB of weights at rank 16 for the ``lite`` renderer. The updates are merged
into plain layers before rendering, so they cost no time there. Merging is a few lines and needs no
PEFT, whose import takes longer than a short render: it is imported where actors are trained.

Source: Hu et al. 2021, "LoRA: Low-Rank Adaptation of Large Language Models" (arXiv 2106.09685),
section 4; PEFT extends it to convolutions.
"""

from __future__ import annotations

from types import MethodType
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dubfew.adapt.methods._base import (
    AdaptationMethod,
    MethodOption,
    MethodOptions,
    NamedTensors,
)
from dubfew.errors import ArtefactError
from dubfew.prior.renderers import Renderer

# Largest rank. The layers of the largest renderer have 256 channels, so updates of a higher rank
# would be larger than the layers themselves. Stored actors beyond it are refused as damaged.
MAX_LORA_RANK = 256
# Ranks from 4 to 32 differ by 0.02 dB (docs/benchmarks.md), so 16 leaves room at a size that does
# not matter. The update is scaled by alpha / rank: alpha follows rank to keep that at 1.
DEFAULT_LORA_RANK = 16


def _find_adapted_layers(renderer: nn.Module) -> dict[str, nn.Conv1d | nn.Conv2d | nn.Linear]:
    """Find the layers that get an update, by name."""
    return {
        name: module
        for name, module in renderer.named_modules()
        if isinstance(module, (nn.Conv1d, nn.Conv2d, nn.Linear))
    }


def _inject_lora(renderer: Renderer, options: MethodOptions) -> nn.Module:
    """Give every convolution and linear layer a trainable low-rank update, in place."""
    from peft import LoraConfig, inject_adapter_in_model
    from peft.tuners.lora import LoraLayer

    # By full name: a bare suffix would also match layers of the same name elsewhere.
    targets = list(_find_adapted_layers(renderer))
    config = LoraConfig(r=options["rank"], lora_alpha=options["alpha"], target_modules=targets)
    model = inject_adapter_in_model(config, renderer)
    # On instances, so that PEFT's class stays as it is for other users in this process.
    for module in model.modules():
        if isinstance(module, LoraLayer):
            module.forward = MethodType(_forward_with_merged_weight, module)
    return model


def _forward_with_merged_weight(layer: Any, x: Tensor) -> Tensor:
    """Compute a LoRA layer's output with the update added to its weight first.

    The numbers are those of PEFT's own forward pass, which runs two more convolutions over the
    image instead. On images these cost more than adding two small matrices.
    """
    base = layer.get_base_layer()
    weight = base.weight + layer.get_delta_weight(layer.active_adapters[0])
    if isinstance(base, (nn.Conv1d, nn.Conv2d)):
        return base._conv_forward(x, weight, base.bias)
    return F.linear(x, weight, base.bias)


def _extract_lora(model: nn.Module, prior: NamedTensors) -> NamedTensors:
    from peft import get_peft_model_state_dict

    return dict(get_peft_model_state_dict(model))


def _apply_lora(renderer: Renderer, weights: NamedTensors, options: MethodOptions) -> Renderer:
    """Add stored updates to the renderer's weights, under the names that PEFT gives them."""
    layers = _find_adapted_layers(renderer)
    expected = {f"{name}.lora_{side}.weight" for name in layers for side in "AB"}
    if expected != set(weights):
        odd = sorted(expected ^ set(weights))
        raise ArtefactError(f"the adapter's weights do not fit its prior: {ascii(odd[0])[:60]}")
    rank = options["rank"]
    with torch.no_grad():
        for name, layer in layers.items():
            down, up = (weights[f"{name}.lora_{side}.weight"].to(layer.weight) for side in "AB")
            rows, *columns = layer.weight.shape
            # A convolution's update is one to ``rank`` channels and then one of a single pixel.
            if down.shape != (rank, *columns) or up.shape != (rows, rank, *[1] * len(columns[1:])):
                raise ArtefactError(f"the adapter's weights do not fit its prior: {name[:60]}")
            update = up.flatten(1) @ down.flatten(1)
            layer.weight += options["alpha"] / rank * update.view_as(layer.weight)
    return renderer


METHOD = AdaptationMethod(
    # Higher than that of method full: the updates start at zero and have far fewer weights.
    learning_rate=3e-4,
    make_trainable=_inject_lora,
    extract_delta=_extract_lora,
    apply_delta=_apply_lora,
    options={
        "rank": MethodOption(DEFAULT_LORA_RANK, maximum=MAX_LORA_RANK),
        "alpha": MethodOption(DEFAULT_LORA_RANK, maximum=MAX_LORA_RANK, follows="rank"),
    },
)
