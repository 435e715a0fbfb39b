"""How the master key of a key store is kept: a table of ways, open to packages of others.

A way is a :class:`KeyWrapping`. A package adds one, for instance for a key management service,
by an entry point in the group ``dubfew.key_wrapping`` that names a class without arguments.
"""

from __future__ import annotations

import base64
import os
from importlib.metadata import entry_points
from typing import Any, Protocol

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from dubfew.errors import DecryptionError, DubfewError, KeyMissingError, RegistryError
from dubfew.registry import sealing
from dubfew.utils.import_utils import import_optional
from dubfew.utils.passphrase import get_passphrase

ENTRY_POINT_GROUP = "dubfew.key_wrapping"
KEYS_PASSPHRASE_VARIABLE = "DUBFEW_PASSPHRASE"


class KeyWrapping(Protocol):
    """One way to keep a key. ``store`` names the key store; both calls get the same."""

    def wrap(self, key: bytes, store: str) -> bytes:
        """What may lie on disk instead of ``key`` [32]."""

    def unwrap(self, wrapped: bytes, store: str) -> bytes:
        """The key [32] again."""


class PlainFileWrapping:
    """The key lies in a file that only its owner may read."""

    def wrap(self, key: bytes, store: str) -> bytes:
        return key

    def unwrap(self, wrapped: bytes, store: str) -> bytes:
        return wrapped


class PassphraseWrapping:
    """The key is sealed to a passphrase, from ``DUBFEW_PASSPHRASE`` or the terminal."""

    def wrap(self, key: bytes, store: str) -> bytes:
        chosen = get_passphrase(KEYS_PASSPHRASE_VARIABLE, "the actors' keys", is_new=True)
        return sealing.seal_with_passphrase(chosen, key, store.encode())

    def unwrap(self, wrapped: bytes, store: str) -> bytes:
        given = get_passphrase(KEYS_PASSPHRASE_VARIABLE, "the actors' keys")
        return sealing.open_with_passphrase(given, wrapped, store.encode())


class KeyringWrapping:
    """The key is sealed to another one, which the operating system's keyring keeps."""

    SERVICE_NAME = "dubfew"

    def wrap(self, key: bytes, store: str) -> bytes:
        outer = os.urandom(32)
        self._call_keyring("set_password", store, base64.b64encode(outer).decode())
        return AESGCM(outer).encrypt(bytes(12), key, store.encode())

    def unwrap(self, wrapped: bytes, store: str) -> bytes:
        outer = self._call_keyring("get_password", store)
        if outer is None:
            raise KeyMissingError(
                "the system's keyring has no key for this registry: unlock it, or log in as the "
                "user who stored the actors"
            )
        return AESGCM(base64.b64decode(outer)).decrypt(bytes(12), wrapped, store.encode())

    def _call_keyring(self, name: str, *arguments: str) -> Any:
        keyring = import_optional("keyring")
        try:
            return getattr(keyring, name)(self.SERVICE_NAME, *arguments)
        except keyring.errors.KeyringError as error:
            found = " ".join(str(error).split()) or type(error).__name__
            raise KeyMissingError(
                f"the system's keyring cannot be used ({found}): unlock it, or keep the keys "
                "another way ('dubfew actors keys --help')"
            ) from error


KEY_WRAPPINGS: dict[str, type[KeyWrapping]] = {
    "file": PlainFileWrapping,
    "passphrase": PassphraseWrapping,
    "keyring": KeyringWrapping,
}


def wrap_key(wrapping_name: str, key: bytes, store: str) -> bytes:
    """Wrap a key the way that ``wrapping_name`` says.

    Raises:
        RegistryError: there is no such way, or it fails.
    """
    return _call_wrapping(wrapping_name, "wrap", key, store)


def unwrap_key(wrapping_name: str, wrapped: bytes, store: str) -> bytes:
    """The key again.

    Raises:
        RegistryError: there is no such way, or it fails.
    """
    key = _call_wrapping(wrapping_name, "unwrap", wrapped, store)
    if len(key) != 32:
        raise DecryptionError(f"{wrapping_name!r} gave a key of {len(key)} bytes: expected 32")
    return key


def _call_wrapping(wrapping_name: str, method: str, data: bytes, store: str) -> bytes:
    try:
        result = getattr(_make_wrapping(wrapping_name), method)(data, store)
    except DubfewError:
        raise
    except Exception as error:  # others' packages raise what they like
        found = " ".join(f"{type(error).__name__} {error}".split())
        raise DecryptionError(
            f"{wrapping_name!r} could not {method} the key ({found[:200]})"
        ) from error
    return bytes(result)


def _make_wrapping(name: str) -> KeyWrapping:
    if name in KEY_WRAPPINGS:
        return KEY_WRAPPINGS[name]()
    found = entry_points(group=ENTRY_POINT_GROUP)
    for entry in found:
        if entry.name == name:
            return entry.load()()
    known = ", ".join([*KEY_WRAPPINGS, *sorted(entry.name for entry in found)])
    raise RegistryError(
        f"there is no way {name!r} to keep keys, only {known}: name one of these, or install the "
        "package that adds it"
    )
