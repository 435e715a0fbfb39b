"""Renderers: one file each, one line in the table."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from dubfew.errors import ArtefactError
from dubfew.prior.renderers.base import Fields, Renderer
from dubfew.prior.renderers.lite import LiteConfig, LiteRenderer

RENDERERS: dict[str, Callable[[dict[str, Any]], Renderer]] = {
    "lite": lambda config: LiteRenderer(LiteConfig(**config)),
}


def make_renderer(name: str, config: dict[str, Any]) -> Renderer:
    """Build a renderer by name.

    Raises:
        ArtefactError: no renderer of that name, or it does not know a key of ``config``.
    """
    if name not in RENDERERS:
        raise ArtefactError(f"no renderer {name!r}: there are {', '.join(sorted(RENDERERS))}")
    try:
        return RENDERERS[name](config)
    except TypeError as error:
        raise ArtefactError(f"renderer {name!r} does not fit its configuration: {error}") from error


__all__ = ["RENDERERS", "Fields", "LiteConfig", "LiteRenderer", "Renderer", "make_renderer"]
