"""One actor: from a few seconds of footage to an entry in the registry."""

from dubfew.adapt.artefact import ActorAdapter
from dubfew.adapt.methods import ADAPT_METHODS
from dubfew.adapt.pipeline import AdaptResult, adapt
from dubfew.adapt.switcher import AdapterSwitcher

__all__ = ["ADAPT_METHODS", "ActorAdapter", "AdaptResult", "AdapterSwitcher", "adapt"]
