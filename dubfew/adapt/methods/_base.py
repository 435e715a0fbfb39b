"""The interface of an adaptation method, and its options."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

from dubfew.errors import ArtefactError

if TYPE_CHECKING:
    from torch import Tensor, nn

    from dubfew.prior.renderers import Renderer

# Value of each option of a method, as it is stored with an actor.
MethodOptions: TypeAlias = dict[str, int]
# Tensors by name, such as a state dict.
NamedTensors: TypeAlias = "dict[str, Tensor]"


@dataclass(frozen=True)
class MethodOption:
    """One option of a method: a whole number from 1 to ``maximum``.

    Attributes:
        default: value unless the user gives one.
        maximum: largest value.
        follows: name of another option whose value this one takes when the user gives only that.
    """

    default: int
    maximum: int
    follows: str | None = None

    def accepts(self, value: object) -> bool:
        """Return whether a value is a whole number in range."""
        return type(value) is int and 1 <= value <= self.maximum


@dataclass(frozen=True)
class AdaptationMethod:
    """One way to adapt a prior to an actor.

    The three functions are called in this order: ``make_trainable`` before the training,
    ``extract_delta`` after it, and ``apply_delta`` whenever the actor is rendered.

    Attributes:
        learning_rate: peak learning rate (Adam) of the trainable weights of the renderer.
        make_trainable: changes a renderer in place so that the weights to train, and no others,
            require gradients; takes the options, returns the module to train.
        extract_delta: takes the trained module and the prior's weights by name; returns the
            tensors that are stored, none for a method that trains no weights of the renderer.
        apply_delta: takes a renderer with the prior's weights, the stored tensors and the options;
            returns the renderer with the delta merged in and only plain layers left. Raises
            ``ArtefactError`` if the tensors do not fit the renderer.
        options: options by name; their values are stored with the actor.
        restore_delta: takes what ``make_trainable`` returned and the stored tensors; sets the
            trainable weights so that training goes on from there. None for a method that cannot.
    """

    learning_rate: float
    make_trainable: Callable[[Renderer, MethodOptions], nn.Module]
    extract_delta: Callable[[nn.Module, NamedTensors], NamedTensors]
    apply_delta: Callable[[Renderer, NamedTensors, MethodOptions], Renderer]
    options: Mapping[str, MethodOption] = field(default_factory=dict)
    restore_delta: Callable[[nn.Module, NamedTensors], None] | None = None

    @property
    def default_options(self) -> MethodOptions:
        """Return the default value of each option."""
        return self.complete_options({})

    def complete_options(self, given: Mapping[str, int]) -> MethodOptions:
        """Fill in the options that the user did not give.

        Args:
            given: values by option, all of them options of this method.

        Returns:
            A value for each option.

        Raises:
            ArtefactError: A value is out of range.
        """
        for name, value in given.items():
            if not self.options[name].accepts(value):
                maximum = self.options[name].maximum
                raise ArtefactError(f"--{name} is {value}: give a number from 1 to {maximum}")
        # Options of the user's own win, then those that follow one of them, then defaults.
        completed = {}
        for name, option in self.options.items():
            fallback = (
                given.get(option.follows, option.default) if option.follows else option.default
            )
            completed[name] = given.get(name, fallback)
        return completed

    def check_options(self, stored: object) -> None:
        """Check options that were stored with an actor.

        Args:
            stored: parsed JSON, which may be anything.

        Raises:
            ArtefactError: The value is not an object with exactly the options of this method, or
                one of them is out of range.
        """
        # All options are stored, so that a later change of a default does not change old actors.
        if (
            isinstance(stored, dict)
            and stored.keys() == self.options.keys()
            and all(self.options[name].accepts(value) for name, value in stored.items())
        ):
            return
        ranges = [f"{name} from 1 to {option.maximum}" for name, option in self.options.items()]
        raise ArtefactError(
            f"this actor's options are {ascii(stored)[:60]}: expected "
            f"{', '.join(ranges) or 'an empty object'}; adapt anew"
        )
