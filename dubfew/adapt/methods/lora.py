"""Train low-rank updates of every convolution and linear layer of the renderer (LoRA, by PEFT).

Actors are small: 386 kB of weights at rank 16 for the ``lite`` renderer. The updates are merged
into plain layers before rendering, so they cost no time there.

Source: Hu et al. 2021, "LoRA: Low-Rank Adaptation of Large Language Models" (arXiv 2106.09685),
section 4; PEFT extends it to convolutions.
"""

from __future__ import annotations

from types import MethodType
from typing import Any

from peft import (
    LoraConfig,
    get_peft_model_state_dict,
    inject_adapter_in_model,
    set_peft_model_state_dict,
)
from peft.tuners.lora import LoraLayer
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


def _inject_lora(renderer: Renderer, options: MethodOptions) -> nn.Module:
    """Give every convolution and linear layer a trainable low-rank update, in place."""
    # By full name: a bare suffix would also match layers of the same name elsewhere.
    targets = [
        name for name, m in renderer.named_modules() if isinstance(m, (nn.Conv2d, nn.Linear))
    ]
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
    if isinstance(base, nn.Conv2d):
        return base._conv_forward(x, weight, base.bias)
    return F.linear(x, weight, base.bias)


def _extract_lora(model: nn.Module, prior: NamedTensors) -> NamedTensors:
    return dict(get_peft_model_state_dict(model))


def _apply_lora(renderer: Renderer, weights: NamedTensors, options: MethodOptions) -> Renderer:
    """Merge stored updates into the renderer's layers and take PEFT's wrappers out again."""
    model = _inject_lora(renderer, options)
    expected = set(get_peft_model_state_dict(model))
    # PEFT ignores missing and unexpected names without an error.
    if expected != set(weights):
        odd = sorted(expected ^ set(weights))
        raise ArtefactError(f"the adapter's weights do not fit its prior: {ascii(odd[0])[:60]}")
    set_peft_model_state_dict(model, weights)
    # Replace each wrapper by the layer inside of it, which has the merged weight by then.
    for name, module in list(model.named_modules()):
        if isinstance(module, LoraLayer):
            module.merge()
            parent, _, child = name.rpartition(".")
            setattr(model.get_submodule(parent), child, module.get_base_layer())
    del model.peft_config  # set by PEFT; without it the renderer is plain again
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
