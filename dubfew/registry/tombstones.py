"""Tombstones: keyed hashes (marks) of deleted ids and contents.

They reveal nothing unless you already know the original. The mark of an id is its scrypt hash with
the registry's salt: ids are names, and a plain hash of a name is found by trying names. Whoever has
the registry and suspects a name can still try it, slowly. The mark of a revision's content is an
HMAC over the names and hashes of all its files.
"""

from __future__ import annotations

import hmac
from collections.abc import Iterable

from dubfew.registry.names import lookalike_key
from dubfew.registry.sealing import derive_scrypt_key

# Cost of an id's mark, log2 of scrypt's n: 16 MiB and some hundredths of a second for every name
# that is tried. Stored tombstones depend on it, so it must not change.
SCRYPT_LOG2_N = 14


def compute_actor_mark(actor: str, salt: str) -> str:
    """Compute the mark of an id, which confusable ids share.

    Args:
        actor: the id.
        salt: the registry's salt.

    Returns:
        64 hexadecimal digits.

    Example:
        >>> compute_actor_mark("Mary", "salt") == compute_actor_mark("mary", "salt")
        True
    """
    return derive_scrypt_key(lookalike_key(actor).encode(), salt.encode(), SCRYPT_LOG2_N).hex()


def compute_content_mark(files: Iterable[tuple[str, str]], salt: str) -> str:
    """Compute the mark of a revision's content.

    Args:
        files: name and SHA-256 of the content of every file, in any order.
        salt: the registry's salt.

    Returns:
        64 hexadecimal digits.
    """
    listed = "\n".join(f"{name} {sha256}" for name, sha256 in sorted(files))
    return hmac.new(salt.encode(), listed.encode(), "sha256").hexdigest()
