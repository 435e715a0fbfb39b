"""The three parts of a registry that every operation works on."""

from __future__ import annotations

from dataclasses import dataclass

from dubfew.registry.index import RegistryIndex
from dubfew.registry.keys import KeyStore
from dubfew.registry.storage import ActorStorage


@dataclass(frozen=True)
class RegistryBackend:
    """Index, stored files and keys of one registry.

    Attributes:
        index: which actors, revisions and files exist.
        storage: the encrypted files.
        keys: the key of every actor.
    """

    index: RegistryIndex
    storage: ActorStorage
    keys: KeyStore
