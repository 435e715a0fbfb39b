"""Rendering: an actor, a scene and new speech in; a dubbed video out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dubfew.render.options import RenderOptions
from dubfew.utils.lazy_exports import lazy_exports

if TYPE_CHECKING:
    from dubfew.render.pipeline import RenderResult, render

__all__ = ["RenderOptions", "RenderResult", "render"]

__getattr__ = lazy_exports(__name__, {"RenderResult": "pipeline", "render": "pipeline"})
