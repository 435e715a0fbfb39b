"""How the audit log names an actor.

A pseudonym is derived from the actor's own key: whoever has the keys can see whose it is, and
when the key is destroyed nobody can compute it any more. The lines about a deleted actor stay as
they are, so that the log stays whole, and say only that they are about one and the same.
"""

from __future__ import annotations

import hmac

from dubfew.registry.index import RegistryIndex
from dubfew.registry.keys import KeyStore


def derive_pseudonym(key: bytes) -> str:
    """The pseudonym of the actor whose key this is. Hexadecimal [32]."""
    return hmac.digest(key, b"dubfew audit", "sha256").hex()[:32]


def actors_by_pseudonym(index: RegistryIndex, keys: KeyStore) -> dict[str, str]:
    """The id of every actor by pseudonym.

    Raises:
        RegistryError: the keys cannot be unlocked, or one is missing.
    """
    return {
        derive_pseudonym(keys.load_key(folder)): actor
        for folder, actor in sorted(index.actors_by_folder().items())
    }
