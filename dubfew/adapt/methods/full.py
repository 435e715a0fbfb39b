"""Train all weights of the renderer; the delta is the difference to the prior's weights.

Actors are large: as many numbers as the prior has weights.

Source: Saunders and Namboodiri 2024, "Dubbing for Everyone: Data-Efficient Visual Dubbing using
Neural Rendering Priors" (arXiv 2401.06126), section 3.5, which trains the whole renderer from the
prior's weights; storing a difference is dubfew's own.
"""

from __future__ import annotations

from torch import nn

from dubfew.adapt.methods._base import AdaptationMethod, MethodOptions, NamedTensors
from dubfew.errors import ArtefactError
from dubfew.prior.renderers import Renderer


def _unfreeze_renderer(renderer: Renderer, options: MethodOptions) -> nn.Module:
    return renderer.requires_grad_(True)


def _extract_difference(model: nn.Module, prior: NamedTensors) -> NamedTensors:
    # Buffers, such as the running statistics of batch normalization, stay the prior's.
    return {name: value.detach() - prior[name] for name, value in model.named_parameters()}


def _apply_difference(
    renderer: Renderer, weights: NamedTensors, options: MethodOptions
) -> Renderer:
    state = {name: value.detach() for name, value in renderer.named_parameters()}
    # Shapes are compared one by one: adding a tensor of one element would broadcast silently.
    if {n: v.shape for n, v in state.items()} != {n: v.shape for n, v in weights.items()}:
        raise ArtefactError("the adapter's weights are not those of its prior's renderer")
    changed = {name: value + weights[name] for name, value in state.items()}
    renderer.load_state_dict({**renderer.state_dict(), **changed})
    return renderer


def _restore_difference(model: nn.Module, weights: NamedTensors) -> None:
    for name, value in model.named_parameters():
        value.data += weights[name].to(value)


METHOD = AdaptationMethod(
    # Lower than that of method lora: every weight moves at every step, away from what the prior
    # knows about mouths.
    learning_rate=1e-4,
    make_trainable=_unfreeze_renderer,
    extract_delta=_extract_difference,
    apply_delta=_apply_difference,
    restore_delta=_restore_difference,
)
