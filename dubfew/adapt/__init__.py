"""One actor: from a few seconds of footage to an entry in the registry."""

from dubfew.adapt.artefact import ActorAdapter
from dubfew.adapt.methods import METHODS
from dubfew.adapt.pipeline import AdaptResult, adapt
from dubfew.adapt.switcher import Stage

__all__ = ["METHODS", "ActorAdapter", "AdaptResult", "Stage", "adapt"]
