"""Pseudonyms of actors in the audit log.

A pseudonym is derived from the actor's key. Whoever has the keys can compute it; when the key is
destroyed, nobody can. The lines about a deleted actor stay, so that the hash chain stays whole;
they show only that they are about the same actor.
"""

from __future__ import annotations

import hmac

from dubfew.registry.index import RegistryIndex
from dubfew.registry.keys import KeyStore


def derive_pseudonym(key: bytes) -> str:
    """Derive the pseudonym of an actor from the actor's key: 32 hexadecimal digits.

    Example:
        >>> derive_pseudonym(bytes(32))
        '14ee0081cca4794e9f4b86a2607c5910'
    """
    return hmac.digest(key, b"dubfew audit", "sha256").hex()[:32]


def actors_by_pseudonym(index: RegistryIndex, keys: KeyStore) -> dict[str, str]:
    """Return the id of every actor by pseudonym.

    Args:
        index: the index of actors.
        keys: the key store.

    Raises:
        RegistryError: The keys cannot be unlocked, or one is missing.
    """
    return {
        derive_pseudonym(keys.load_key(folder)): actor
        for folder, actor in sorted(index.actors_by_folder().items())
    }
