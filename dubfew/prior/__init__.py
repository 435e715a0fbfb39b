"""The multi-person renderer: what a mouth looks like, learned from many people."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dubfew.prior.checkpoint import Prior, PriorInfo, list_priors, prior_info

__all__ = [
    "Prior",
    "PriorInfo",
    "list_priors",
    "prior_info",
]

_LAZY_MODULES = {
    "Prior": "checkpoint",
    "PriorInfo": "checkpoint",
    "list_priors": "checkpoint",
    "prior_info": "checkpoint",
}


def __getattr__(name: str) -> Any:
    """Load on first use, so that a look at one part does not bring the training's imports."""
    if name not in _LAZY_MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(f"{__name__}.{_LAZY_MODULES[name]}"), name)
