"""dubfew's nodes for ComfyUI: learn an actor, dub, edit the motion, read the marks."""

from .nodes import comfy_entrypoint

__all__ = ["comfy_entrypoint"]
