"""Adaptation: from a few seconds of footage to an actor in the registry."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dubfew.adapt.options import AdaptOptions
from dubfew.utils.lazy_exports import lazy_exports

if TYPE_CHECKING:
    from dubfew.adapt.artefact import ActorAdapter
    from dubfew.adapt.methods import METHODS
    from dubfew.adapt.pipeline import AdaptResult, adapt
    from dubfew.adapt.switcher import AdapterSwitcher

__all__ = [
    "METHODS",
    "ActorAdapter",
    "AdaptOptions",
    "AdaptResult",
    "AdapterSwitcher",
    "adapt",
]

__getattr__ = lazy_exports(
    __name__,
    {
        "METHODS": "methods",
        "ActorAdapter": "artefact",
        "AdaptResult": "pipeline",
        "AdapterSwitcher": "switcher",
        "adapt": "pipeline",
    },
)
