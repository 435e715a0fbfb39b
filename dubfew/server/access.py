"""Keys of the server, what each may do, and whom a request comes from."""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from collections.abc import Iterable
from dataclasses import dataclass

from dubfew.errors import DubfewError
from dubfew.jobs.store import JobStore
from dubfew.server.options import LOOPBACK_NAMES, ServeOptions

# What a key may do besides looking at actors and at its own jobs.
SCOPES = ("render", "adapt", "delete", "export")
# Begin of every key, so that scanners for leaked secrets can find it.
KEY_PREFIX = "dubfew_"
# Random bytes of a key.
KEY_BYTES = 32
# Owner of jobs that come without a key.
LOCAL_OWNER = "local"
# Form of a key's name; it appears in logs and metrics.
_NAME_PATTERN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


class AccessError(DubfewError):
    """A request has no key, or a wrong one."""


class ScopeError(DubfewError):
    """A key may not do what was asked for."""


@dataclass(frozen=True)
class ApiCaller:
    """Who sent a request.

    Attributes:
        owner: name of the key, or `LOCAL_OWNER`.
        scopes: what they may do.
    """

    owner: str
    scopes: frozenset[str]

    def check_scope(self, scope: str) -> None:
        """Check that the caller may do something.

        Raises:
            ScopeError: They may not.
        """
        if scope not in self.scopes:
            have = ", ".join(sorted(self.scopes)) or "none"
            raise ScopeError(f"this needs a key with the scope {scope}; this key has: {have}")


def add_key(store: JobStore, name: str, scopes: Iterable[str]) -> str:
    """Make a key.

    Args:
        store: the server's store, which keeps a hash of the key.
        name: name of who will hold it.
        scopes: what it may do, of `SCOPES`.

    Returns:
        The key, which is not stored anywhere.

    Raises:
        DubfewError: The name or a scope is not allowed, or the name is taken.
    """
    chosen = tuple(dict.fromkeys(scopes))
    for scope in chosen:
        if scope not in SCOPES:
            raise DubfewError(f"no scope {scope[:40]!a}: there are {', '.join(SCOPES)}")
    if not _NAME_PATTERN.fullmatch(name) or name == LOCAL_OWNER:
        raise DubfewError(
            f"a key cannot be called {name[:40]!a}: give letters, digits, dots and hyphens"
        )
    key = KEY_PREFIX + secrets.token_urlsafe(KEY_BYTES)
    # Keys are random, so a plain hash is enough: there is nothing to guess from it.
    store.add_key(name, _hash_key(key), chosen)
    return key


def identify_caller(
    store: JobStore, options: ServeOptions, authorization: str | None, host: str
) -> ApiCaller:
    """Find out who sent a request.

    Args:
        store: the server's store.
        options: options of the server.
        authorization: the header of that name, or None.
        host: the header of that name.

    Returns:
        The holder of the key. Without any keys, on loopback: the user of this machine, who may do
        everything.

    Raises:
        AccessError: The key is missing or wrong, or the request was addressed to another machine.
    """
    keys = store.list_keys()
    if not keys and options.is_loopback:
        # A page of another site can have its own name point to this machine; its requests then
        # carry that name (DNS rebinding).
        name = re.sub(r":\d+$", "", host).lower()
        if name not in LOOPBACK_NAMES:
            raise AccessError(f"requests to {name[:60]!a} need a key: use 127.0.0.1")
        return ApiCaller(LOCAL_OWNER, frozenset(SCOPES))
    scheme, _, given = (authorization or "").partition(" ")
    digest = _hash_key(given.strip())
    for known in keys:
        if hmac.compare_digest(known["sha256"], digest) and scheme.lower() == "bearer":
            return ApiCaller(known["name"], frozenset(known["scopes"]))
    raise AccessError("give a key of this server, as in 'Authorization: Bearer dubfew_...'")


def check_binding(store: JobStore, options: ServeOptions) -> None:
    """Check that a server beyond loopback has a key.

    Args:
        store: the queue, which has the hashes of keys.
        options: options of the server; ``host`` is what it listens on.

    Raises:
        DubfewError: It has none.
    """
    if not options.is_loopback and not store.list_keys():
        raise DubfewError(
            f"--host {options.host} can be reached by others, and there is no key: make one first "
            "with 'dubfew serve keys add NAME --scope render'"
        )


def _hash_key(key: str) -> str:
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()
