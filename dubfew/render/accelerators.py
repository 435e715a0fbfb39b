"""Runtimes other than torch for the network of a render."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from dubfew.errors import MissingDependencyError
from dubfew.prior.renderers import BlendingUNet, Renderer
from dubfew.render.load import LoadedActor
from dubfew.utils.torch_threads import count_shared_threads

if TYPE_CHECKING:
    from dubfew.prior.openvino_layers import OpenVinoUNet

# Networks that were compiled, by the networks that they were made of, precision and threads, so
# that a session compiles each once. They go with the actor.
_compiled: WeakKeyDictionary[Renderer, dict[tuple[str, int], OpenVinoUNet]] = WeakKeyDictionary()


def accelerate_actor(actor: LoadedActor, accelerator: str, device: str) -> tuple[LoadedActor, str]:
    """Have another runtime compute an actor's network, where it can.

    Args:
        actor: the actor.
        accelerator: entry of `dubfew.render.options.ACCELERATORS`.
        device: "cpu" or "cuda".

    Returns:
        The actor with the network to use, and one line about why it is not what was asked for, or
        "".
    """
    runtime, _, precision = accelerator.partition("-")
    if runtime == "torch":
        return actor, ""
    renderer = actor.renderer
    if device != "cpu":
        return actor, f"{accelerator} computes on CPUs alone: torch computed on {device}"
    if not isinstance(renderer, BlendingUNet):
        return actor, f"{accelerator} does not know this actor's network: torch computed it"
    # Imported here: without an accelerator its module is not needed.
    from dubfew.prior.openvino_layers import OpenVinoUNet

    known = _compiled.setdefault(renderer, {})
    key = precision or "f32", count_shared_threads()
    if key not in known:
        try:
            known[key] = OpenVinoUNet(renderer, *key)
        except MissingDependencyError as error:
            return actor, f"torch computed the network: {error}"
    compiled = known[key]
    lacks = compiled.precision != key[0]
    note = f"this processor has no {key[0]}: OpenVINO computed in f32" if lacks else ""
    return replace(actor, renderer=compiled), note
