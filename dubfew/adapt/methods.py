"""How much of the network an actor may change: one method, one line in the table."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from types import MethodType
from typing import Any

from torch import Tensor, nn
from torch.nn import functional as F

from dubfew.errors import ArtefactError
from dubfew.prior.renderers import Renderer

# Larger ranks than this are larger than the layers themselves.
MOST = 256
Options = dict[str, Any]
Weights = dict[str, Tensor]


@dataclass(frozen=True)
class Method:
    """One way to adapt.

    Attributes:
        options: defaults, stored with the actor.
        learning_rate: of the network's trainable weights.
        prepare: make a renderer trainable in this way, in place; returns what to train.
        weights: the delta of a trained renderer against the prior's weights.
        merged: a renderer of the prior with the delta applied, plain again.
    """

    options: Options
    learning_rate: float
    prepare: Callable[[Renderer, Options], nn.Module]
    weights: Callable[[nn.Module, Weights], Weights]
    merged: Callable[[Renderer, Weights, Options], Renderer]

    def with_options(self, **wishes: int | None) -> Options:
        """The options with some of them set; a wish of None leaves its default.

        Raises:
            ArtefactError: the method has no such option, or the value is out of range.
        """
        given = {name: value for name, value in wishes.items() if value is not None}
        for name, value in given.items():
            if name not in self.options:
                methods = [key for key, method in METHODS.items() if name in method.options]
                raise ArtefactError(f"--{name} is an option of {', '.join(methods)} only")
            if not 1 <= value <= MOST:
                raise ArtefactError(f"--{name} is {value}: give a number from 1 to {MOST}")
        options = {**self.options, **given}
        if "rank" in given:
            options["alpha"] = options["rank"]  # the update's scale stays what it was
        return options

    def check_options(self, options: object) -> None:
        """See that stored options are ones of this method.

        Raises:
            ArtefactError: they are not.
        """
        if not (
            isinstance(options, dict)
            and options.keys() == self.options.keys()
            and all(type(value) is int and 1 <= value <= MOST for value in options.values())
        ):
            raise ArtefactError(
                f"this actor's options are {ascii(options)[:60]}: expected numbers from 1 to "
                f"{MOST} for {', '.join(self.options) or 'nothing'}; adapt anew"
            )


def _frozen(renderer: Renderer, options: Options) -> nn.Module:
    return renderer.requires_grad_(False)


def _nothing(model: nn.Module, prior: Weights) -> Weights:
    return {}


def _unchanged(renderer: Renderer, weights: Weights, options: Options) -> Renderer:
    if weights:
        raise ArtefactError("the adapter has weights, though its method changes none")
    return renderer


def _lora(renderer: Renderer, options: Options) -> nn.Module:
    from peft import LoraConfig, inject_adapter_in_model
    from peft.tuners.lora import LoraLayer

    targets = [
        name for name, m in renderer.named_modules() if isinstance(m, (nn.Conv2d, nn.Linear))
    ]
    config = LoraConfig(r=options["rank"], lora_alpha=options["alpha"], target_modules=targets)
    model = inject_adapter_in_model(config, renderer)
    for module in model.modules():
        if isinstance(module, LoraLayer):
            module.forward = MethodType(_folded, module)
    return model


def _folded(layer: Any, x: Tensor) -> Tensor:
    """A LoRA layer's forward pass with the delta added to the weights.

    The same numbers as PEFT's own, which convolves twice more instead: on pictures that costs more
    than adding to the weights.
    """
    base = layer.get_base_layer()
    weight = base.weight + layer.get_delta_weight(layer.active_adapters[0])
    if isinstance(base, nn.Conv2d):
        return base._conv_forward(x, weight, base.bias)
    return F.linear(x, weight, base.bias)


def _lora_weights(model: nn.Module, prior: Weights) -> Weights:
    from peft import get_peft_model_state_dict

    return dict(get_peft_model_state_dict(model))


def _lora_merged(renderer: Renderer, weights: Weights, options: Options) -> Renderer:
    from peft import get_peft_model_state_dict, set_peft_model_state_dict
    from peft.tuners.lora import LoraLayer

    model = _lora(renderer, options)
    expected = set(get_peft_model_state_dict(model))
    if expected != set(weights):
        odd = sorted(expected ^ set(weights))
        raise ArtefactError(f"the adapter's weights do not fit its prior: {ascii(odd[0])[:60]}")
    set_peft_model_state_dict(model, weights)
    for name, module in list(model.named_modules()):
        if isinstance(module, LoraLayer):
            module.merge()
            parent, _, child = name.rpartition(".")
            setattr(model.get_submodule(parent), child, module.get_base_layer())
    del model.peft_config  # PEFT's mark that it has been here
    return renderer


def _full(renderer: Renderer, options: Options) -> nn.Module:
    return renderer.requires_grad_(True)


def _difference(model: nn.Module, prior: Weights) -> Weights:
    return {name: value - prior[name] for name, value in model.state_dict().items()}


def _added(renderer: Renderer, weights: Weights, options: Options) -> Renderer:
    state = renderer.state_dict()
    if {n: v.shape for n, v in state.items()} != {n: v.shape for n, v in weights.items()}:
        raise ArtefactError("the adapter's weights are not those of its prior's renderer")
    renderer.load_state_dict({name: value + weights[name] for name, value in state.items()})
    return renderer


METHODS: dict[str, Method] = {
    "texture": Method({}, 0.0, _frozen, _nothing, _unchanged),
    "lora": Method({"rank": 16, "alpha": 16}, 3e-4, _lora, _lora_weights, _lora_merged),
    "full": Method({}, 1e-4, _full, _difference, _added),
}


def method_named(name: str) -> Method:
    """The method of that name.

    Raises:
        ArtefactError: there is none.
    """
    if name not in METHODS:
        raise ArtefactError(f"no adaptation method {name[:40]!a}: there are {', '.join(METHODS)}")
    return METHODS[name]
