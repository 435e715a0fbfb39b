"""Renderers: one file each, one line in the table for each of their sizes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

from dubfew.errors import ArtefactError
from dubfew.prior.renderers.base import BlendFields, Renderer
from dubfew.prior.renderers.presets import RENDERER_CONFIGS
from dubfew.prior.renderers.unet import BlendingUNet, BlendingUNetConfig


def _make_blending_unet(base_config: BlendingUNetConfig, overrides: dict[str, Any]) -> Renderer:
    return BlendingUNet(replace(base_config, **overrides))


# Builds a renderer from what is to differ from its size's own configuration.
RENDERER_FACTORIES: dict[str, Callable[[dict[str, Any]], Renderer]] = {
    name: partial(_make_blending_unet, size) for name, size in RENDERER_CONFIGS.items()
}


def make_renderer(name: str, overrides: dict[str, Any]) -> Renderer:
    """Build a renderer by name.

    Args:
        name: entry of `RENDERER_FACTORIES`.
        overrides: what differs from that size's own configuration.

    Raises:
        ArtefactError: no renderer of that name, or it does not fit ``overrides``.
    """
    if name not in RENDERER_FACTORIES:
        raise ArtefactError(
            f"no renderer {name!r}: there are {', '.join(sorted(RENDERER_FACTORIES))}"
        )
    try:
        return RENDERER_FACTORIES[name](overrides)
    except (TypeError, ValueError) as error:
        raise ArtefactError(f"renderer {name!r} does not fit its configuration: {error}") from error


__all__ = [
    "RENDERER_CONFIGS",
    "RENDERER_FACTORIES",
    "BlendFields",
    "BlendingUNet",
    "BlendingUNetConfig",
    "Renderer",
    "make_renderer",
]
