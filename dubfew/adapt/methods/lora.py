"""Train low-rank updates of every convolution and linear layer of the renderer (LoRA).

Actors are small: 386 kB of weights at rank 16 for the ``lite`` renderer. The updates are merged
into plain layers before rendering, so they cost no time there. Numbers and names are those of PEFT,
which tests compare with. PEFT itself imports transformers, which takes longer than a short render,
and computes the updates of convolutions by more convolutions.

Source: Hu et al. 2021, "LoRA: Low-Rank Adaptation of Large Language Models" (arXiv 2106.09685),
section 4; PEFT extends it to convolutions.
"""

from __future__ import annotations

import math
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

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


class LowRankUpdate(nn.Module):
    """A layer's weight plus a trainable low-rank update, as a parametrization of the weight.

    A convolution's update is one to ``rank`` channels and then one of a single pixel, multiplied
    out: adding two small matrices costs less than two more convolutions over the image.
    """

    def __init__(self, weight: Tensor, rank: int, scale: float) -> None:
        """Start an update at zero.

        Args:
            weight: weight of a convolution or a linear layer. [O, I, ...]
            rank: rank of the update.
            scale: factor of the update.
        """
        super().__init__()
        rows, *columns = weight.shape
        self.scale = scale
        self.lora_A = nn.Parameter(weight.new_empty(rank, *columns))
        self.lora_B = nn.Parameter(weight.new_zeros(rows, rank, *[1] * len(columns[1:])))
        # As PEFT starts them, which is as PyTorch starts linear layers.
        nn.init.kaiming_uniform_(self.lora_A, a=math.sqrt(5))

    def forward(self, weight: Tensor) -> Tensor:
        """Add the update to the weight."""
        update = self.lora_B.flatten(1) @ self.lora_A.flatten(1)
        return weight + self.scale * update.view_as(weight)


def _inject_lora(renderer: Renderer, options: MethodOptions) -> nn.Module:
    """Give every convolution and linear layer a trainable low-rank update, in place."""
    renderer.requires_grad_(False)
    for layer in _find_adapted_layers(renderer).values():
        scale = options["alpha"] / options["rank"]
        update = LowRankUpdate(layer.weight, options["rank"], scale)
        parametrize.register_parametrization(layer, "weight", update)
    return renderer


def _extract_lora(model: nn.Module, prior: NamedTensors) -> NamedTensors:
    """Take the updates out, under the names that PEFT gives them."""
    found = {}
    for name, layer in _find_adapted_layers(model).items():
        (update,) = cast(Any, layer).parametrizations.weight
        found[f"{name}.lora_A.weight"] = update.lora_A.detach()
        found[f"{name}.lora_B.weight"] = update.lora_B.detach()
    return found


def _restore_lora(model: nn.Module, weights: NamedTensors) -> None:
    """Set the updates to stored ones, under the names that PEFT gives them."""
    with torch.no_grad():
        for name, layer in _find_adapted_layers(model).items():
            (update,) = cast(Any, layer).parametrizations.weight
            update.lora_A.copy_(weights[f"{name}.lora_A.weight"])
            update.lora_B.copy_(weights[f"{name}.lora_B.weight"])


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
    restore_delta=_restore_lora,
    options={
        "rank": MethodOption(DEFAULT_LORA_RANK, maximum=MAX_LORA_RANK),
        "alpha": MethodOption(DEFAULT_LORA_RANK, maximum=MAX_LORA_RANK, follows="rank"),
    },
)
