"""Train the biases of the renderer alone; the delta is their difference to the prior's."""

from __future__ import annotations

from torch import nn

from dubfew.adapt.methods._base import AdaptationMethod, MethodOptions, NamedTensors
from dubfew.errors import ArtefactError
from dubfew.prior.renderers import Renderer


def _unfreeze_biases(renderer: Renderer, options: MethodOptions) -> nn.Module:
    for name, parameter in renderer.named_parameters():
        parameter.requires_grad_(name.endswith("bias"))
    return renderer


def _extract_biases(model: nn.Module, prior: NamedTensors) -> NamedTensors:
    state = model.state_dict()
    return {name: state[name] - prior[name] for name in state if name.endswith("bias")}


def _add_biases(renderer: Renderer, weights: NamedTensors, options: MethodOptions) -> Renderer:
    state = renderer.state_dict()
    # Shapes count, too: adding a tensor of one element would broadcast silently.
    expected = {name: state[name].shape for name in state if name.endswith("bias")}
    if {name: value.shape for name, value in weights.items()} != expected:
        raise ArtefactError("the adapter's weights are not the biases of its prior's renderer")
    renderer.load_state_dict({**state, **{name: state[name] + weights[name] for name in weights}})
    return renderer


METHOD = AdaptationMethod(
    learning_rate=1e-3,  # few numbers: they may move fast
    make_trainable=_unfreeze_biases,
    extract_delta=_extract_biases,
    apply_delta=_add_biases,
)
