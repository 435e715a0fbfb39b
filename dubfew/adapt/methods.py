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
MAX_LORA_RANK = 256
MethodOptions = dict[str, Any]
NamedWeights = dict[str, Tensor]


@dataclass(frozen=True)
class AdaptMethod:
    """One way to adapt.

    Attributes:
        default_options: defaults, stored with the actor.
        learning_rate: of the network's trainable weights.
        make_trainable: make a renderer trainable in this way, in place; returns what to train.
        extract_delta: the delta of a trained renderer against the prior's weights.
        apply_delta: a renderer of the prior with the delta applied, plain again.
    """

    default_options: MethodOptions
    learning_rate: float
    make_trainable: Callable[[Renderer, MethodOptions], nn.Module]
    extract_delta: Callable[[nn.Module, NamedWeights], NamedWeights]
    apply_delta: Callable[[Renderer, NamedWeights, MethodOptions], Renderer]

    def resolve_options(self, **overrides: int | None) -> MethodOptions:
        """The options with some of them set; a wish of None leaves its default.

        Raises:
            ArtefactError: the method has no such option, or the value is out of range.
        """
        given = {name: value for name, value in overrides.items() if value is not None}
        for name, value in given.items():
            if name not in self.default_options:
                methods = [
                    key for key, method in ADAPT_METHODS.items() if name in method.default_options
                ]
                raise ArtefactError(f"--{name} is an option of {', '.join(methods)} only")
            if not 1 <= value <= MAX_LORA_RANK:
                raise ArtefactError(f"--{name} is {value}: give a number from 1 to {MAX_LORA_RANK}")
        options = {**self.default_options, **given}
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
            and options.keys() == self.default_options.keys()
            and all(
                type(value) is int and 1 <= value <= MAX_LORA_RANK for value in options.values()
            )
        ):
            raise ArtefactError(
                f"this actor's options are {ascii(options)[:60]}: expected numbers from 1 to "
                f"{MAX_LORA_RANK} for {', '.join(self.default_options) or 'nothing'}; adapt anew"
            )


def _freeze_renderer(renderer: Renderer, options: MethodOptions) -> nn.Module:
    return renderer.requires_grad_(False)


def _extract_nothing(model: nn.Module, prior: NamedWeights) -> NamedWeights:
    return {}


def _apply_nothing(renderer: Renderer, weights: NamedWeights, options: MethodOptions) -> Renderer:
    if weights:
        raise ArtefactError("the adapter has weights, though its method changes none")
    return renderer


def _inject_lora(renderer: Renderer, options: MethodOptions) -> nn.Module:
    from peft import LoraConfig, inject_adapter_in_model
    from peft.tuners.lora import LoraLayer

    targets = [
        name for name, m in renderer.named_modules() if isinstance(m, (nn.Conv2d, nn.Linear))
    ]
    config = LoraConfig(r=options["rank"], lora_alpha=options["alpha"], target_modules=targets)
    model = inject_adapter_in_model(config, renderer)
    for module in model.modules():
        if isinstance(module, LoraLayer):
            module.forward = MethodType(_forward_folded_lora, module)
    return model


def _forward_folded_lora(layer: Any, x: Tensor) -> Tensor:
    """A LoRA layer's forward pass with the delta added to the weights.

    The same numbers as PEFT's own, which convolves twice more instead: on pictures that costs more
    than adding to the weights.
    """
    base = layer.get_base_layer()
    weight = base.weight + layer.get_delta_weight(layer.active_adapters[0])
    if isinstance(base, nn.Conv2d):
        return base._conv_forward(x, weight, base.bias)
    return F.linear(x, weight, base.bias)


def _extract_lora(model: nn.Module, prior: NamedWeights) -> NamedWeights:
    from peft import get_peft_model_state_dict

    return dict(get_peft_model_state_dict(model))


def _apply_lora(renderer: Renderer, weights: NamedWeights, options: MethodOptions) -> Renderer:
    from peft import get_peft_model_state_dict, set_peft_model_state_dict
    from peft.tuners.lora import LoraLayer

    model = _inject_lora(renderer, options)
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


def _unfreeze_renderer(renderer: Renderer, options: MethodOptions) -> nn.Module:
    return renderer.requires_grad_(True)


def _extract_difference(model: nn.Module, prior: NamedWeights) -> NamedWeights:
    return {name: value - prior[name] for name, value in model.state_dict().items()}


def _apply_difference(
    renderer: Renderer, weights: NamedWeights, options: MethodOptions
) -> Renderer:
    state = renderer.state_dict()
    if {n: v.shape for n, v in state.items()} != {n: v.shape for n, v in weights.items()}:
        raise ArtefactError("the adapter's weights are not those of its prior's renderer")
    renderer.load_state_dict({name: value + weights[name] for name, value in state.items()})
    return renderer


ADAPT_METHODS: dict[str, AdaptMethod] = {
    "texture": AdaptMethod({}, 0.0, _freeze_renderer, _extract_nothing, _apply_nothing),
    "lora": AdaptMethod({"rank": 16, "alpha": 16}, 3e-4, _inject_lora, _extract_lora, _apply_lora),
    "full": AdaptMethod({}, 1e-4, _unfreeze_renderer, _extract_difference, _apply_difference),
}


def get_method(name: str) -> AdaptMethod:
    """The method of that name.

    Raises:
        ArtefactError: there is none.
    """
    if name not in ADAPT_METHODS:
        raise ArtefactError(
            f"no adaptation method {name[:40]!a}: there are {', '.join(ADAPT_METHODS)}"
        )
    return ADAPT_METHODS[name]
