"""Train the actor's neural texture alone; the renderer stays the prior's.

Actors are as small as can be: only the texture is stored, no weights. The baseline that shows
what training the renderer is worth.

Source: Thies et al. 2019, "Deferred Neural Rendering: Image Synthesis using Neural Textures"
(arXiv 1904.12356), section 4, for textures; training them against a frozen renderer is dubfew's
own baseline.
"""

from __future__ import annotations

from torch import nn

from dubfew.adapt.methods._base import AdaptationMethod, MethodOptions, NamedTensors
from dubfew.errors import ArtefactError
from dubfew.prior.renderers import Renderer


def _freeze_renderer(renderer: Renderer, options: MethodOptions) -> nn.Module:
    return renderer.requires_grad_(False)


def _extract_nothing(model: nn.Module, prior: NamedTensors) -> NamedTensors:
    return {}


def _apply_nothing(renderer: Renderer, weights: NamedTensors, options: MethodOptions) -> Renderer:
    if weights:
        raise ArtefactError("the adapter has weights, though its method changes none")
    return renderer


def _restore_nothing(model: nn.Module, weights: NamedTensors) -> None:
    pass


METHOD = AdaptationMethod(
    learning_rate=0.0,  # the renderer has nothing to train
    make_trainable=_freeze_renderer,
    extract_delta=_extract_nothing,
    apply_delta=_apply_nothing,
    restore_delta=_restore_nothing,
)
