"""Actors on disk: an index, one folder per actor and revision, complete deletion."""

from dubfew.registry.index import FileRow
from dubfew.registry.registry import Registry, default_home
from dubfew.registry.revision import Revision

__all__ = ["FileRow", "Registry", "Revision", "default_home"]
