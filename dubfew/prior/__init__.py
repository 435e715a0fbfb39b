"""The prior: a renderer of mouths trained on many people, where every actor starts from."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dubfew.utils.lazy_exports import lazy_exports

if TYPE_CHECKING:
    from dubfew.prior.checkpoint import Prior, PriorInfo, list_priors, prior_info

__all__ = [
    "Prior",
    "PriorInfo",
    "list_priors",
    "prior_info",
]

__getattr__ = lazy_exports(__name__, dict.fromkeys(__all__, "checkpoint"))
