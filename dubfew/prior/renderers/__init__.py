"""Renderers: one file each, one line in the table for each of their sizes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

from dubfew.errors import ArtefactError
from dubfew.prior.renderers.base import Fields, Renderer
from dubfew.prior.renderers.presets import SIZES
from dubfew.prior.renderers.unet import LiteConfig, LiteRenderer


def _sized(size: LiteConfig, changes: dict[str, Any]) -> Renderer:
    return LiteRenderer(replace(size, **changes))


# Builds a renderer from what is to differ from its size's own configuration.
RENDERERS: dict[str, Callable[[dict[str, Any]], Renderer]] = {
    name: partial(_sized, size) for name, size in SIZES.items()
}


def make_renderer(name: str, config: dict[str, Any]) -> Renderer:
    """Build a renderer by name.

    Args:
        name: entry of `RENDERERS`.
        config: what differs from that size's own configuration.

    Raises:
        ArtefactError: no renderer of that name, or it does not fit ``config``.
    """
    if name not in RENDERERS:
        raise ArtefactError(f"no renderer {name!r}: there are {', '.join(sorted(RENDERERS))}")
    try:
        return RENDERERS[name](config)
    except (TypeError, ValueError) as error:
        raise ArtefactError(f"renderer {name!r} does not fit its configuration: {error}") from error


__all__ = [
    "RENDERERS",
    "SIZES",
    "Fields",
    "LiteConfig",
    "LiteRenderer",
    "Renderer",
    "make_renderer",
]
