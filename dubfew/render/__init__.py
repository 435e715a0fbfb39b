"""An actor, a scene and new speech in; a dubbed video out."""

from dubfew.render.pipeline import RenderResult, render

__all__ = ["RenderResult", "render"]
