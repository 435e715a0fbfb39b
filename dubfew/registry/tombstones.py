"""Marks of what was deleted, which tell nothing to who does not know it already.

A mark of an id is scrypt's hash of it with the registry's salt: ids are names, and a plain hash of
a name is found by trying names. Whoever has the registry and suspects a name can still try it,
slowly. A mark of a revision's content is an HMAC over names and hashes of all its files.
"""

from __future__ import annotations

import hmac
from collections.abc import Iterable

from dubfew.registry.names import lookalike_key
from dubfew.registry.sealing import derive_scrypt_key

# 16 MiB and some hundredths of a second for every name that is tried.
SCRYPT_LOG2_N = 14


def compute_actor_mark(actor: str, salt: str) -> str:
    """The mark of an id, the same for ids that look alike. Hexadecimal [64]."""
    return derive_scrypt_key(lookalike_key(actor).encode(), salt.encode(), SCRYPT_LOG2_N).hex()


def compute_content_mark(files: Iterable[tuple[str, str]], salt: str) -> str:
    """The mark of a revision, from names and SHA-256 of its files' content. Hexadecimal [64]."""
    listed = "\n".join(f"{name} {sha256}" for name, sha256 in sorted(files))
    return hmac.new(salt.encode(), listed.encode(), "sha256").hexdigest()
