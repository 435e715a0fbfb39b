"""Key wrapping: a table of ways to protect the master key of a key store.

Every entry is a :class:`KeyWrapping`. Another package adds one, for instance for a key management
service, by an entry point in the group ``dubfew.key_wrapping`` that names a class without
arguments.
"""

from __future__ import annotations

import base64
import os
from importlib.metadata import entry_points
from typing import Any, ClassVar, Protocol

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from dubfew.errors import DecryptionError, DubfewError, KeyMissingError, RegistryError
from dubfew.registry import sealing
from dubfew.utils.import_utils import import_optional
from dubfew.utils.passphrase import get_passphrase

# Group of the entry points by which other packages add wrappings.
ENTRY_POINT_GROUP = "dubfew.key_wrapping"


class KeyWrapping(Protocol):
    """Interface of a key wrapping."""

    def wrap(self, key: bytes, store: str) -> bytes:
        """Wrap a key for storage on disk.

        Args:
            key: the key [32].
            store: name of the key store, the same for `unwrap`.
        """

    def unwrap(self, wrapped: bytes, store: str) -> bytes:
        """Unwrap a key [32].

        Args:
            wrapped: the result of `wrap`.
            store: name of the key store, the same as for `wrap`.
        """


class PlainFileWrapping:
    """No wrapping: the key is stored as it is, in a file that only its owner may read."""

    def wrap(self, key: bytes, store: str) -> bytes:
        """Return the key as it is.

        Args:
            key: the master key, 32 bytes.
            store: name of the store; not used.
        """
        return key

    def unwrap(self, wrapped: bytes, store: str) -> bytes:
        """Return the key as it is.

        Args:
            wrapped: what `wrap` returned.
            store: name of the store; not used.
        """
        return wrapped


class PassphraseWrapping:
    """The key is encrypted to a passphrase, from ``DUBFEW_PASSPHRASE`` or the terminal."""

    def wrap(self, key: bytes, store: str) -> bytes:
        """Encrypt the key to a new passphrase.

        Args:
            key: the key [32].
            store: name of the key store, the associated data.

        Raises:
            KeyMissingError: No passphrase is given, or it is too short.
        """
        chosen = get_passphrase("the actors' keys", is_new=True)
        return sealing.seal_with_passphrase(chosen, key, store.encode())

    def unwrap(self, wrapped: bytes, store: str) -> bytes:
        """Decrypt the key with the passphrase.

        Args:
            wrapped: the result of `wrap`.
            store: name of the key store, the associated data.

        Raises:
            KeyMissingError: No passphrase is given.
            DecryptionError: The passphrase is wrong.
        """
        given = get_passphrase("the actors' keys")
        return sealing.open_with_passphrase(given, wrapped, store.encode())


class KeyringWrapping:
    """The key is encrypted to a random key in the operating system's keyring."""

    # Name of the entry in the keyring; the user name is the key store's.
    SERVICE_NAME = "dubfew"

    def wrap(self, key: bytes, store: str) -> bytes:
        """Encrypt the key to a new random key and store that in the keyring.

        Args:
            key: the key [32].
            store: name of the key store: the user name in the keyring and the associated data.

        Raises:
            KeyMissingError: The keyring cannot be used.
        """
        # The keyring holds a key for one ciphertext only, so the nonce may be zero.
        outer = os.urandom(32)
        self._call_keyring("set_password", store, base64.b64encode(outer).decode())
        return AESGCM(outer).encrypt(bytes(12), key, store.encode())

    def unwrap(self, wrapped: bytes, store: str) -> bytes:
        """Decrypt the key with the one in the keyring.

        Args:
            wrapped: the result of `wrap`.
            store: name of the key store: the user name in the keyring and the associated data.

        Raises:
            KeyMissingError: The keyring cannot be used or has no key for this store.
        """
        outer = self._call_keyring("get_password", store)
        if outer is None:
            raise KeyMissingError(
                "the system's keyring has no key for this registry: unlock it, or log in as the "
                "user who stored the actors"
            )
        return AESGCM(base64.b64decode(outer)).decrypt(bytes(12), wrapped, store.encode())

    def _call_keyring(self, name: str, *arguments: str) -> Any:
        """Call a function of the package keyring; its errors become errors of dubfew."""
        # Every backend has errors of its own; all derive from KeyringError.
        keyring = import_optional("keyring")
        try:
            return getattr(keyring, name)(self.SERVICE_NAME, *arguments)
        except keyring.errors.KeyringError as error:
            found = " ".join(str(error).split()) or type(error).__name__
            raise KeyMissingError(
                f"the system's keyring cannot be used ({found}): unlock it, or keep the keys "
                "another way ('dubfew actors keys --help')"
            ) from error


class ProcessWrapping:
    """The key is encrypted to a random key in the memory of this process alone.

    For registries that live as long as one job: when the process ends, in whatever way, nothing on
    the disk can be read any more.
    """

    # The keys by the name of their store. Nothing writes them anywhere.
    _outer_keys: ClassVar[dict[str, bytes]] = {}

    def wrap(self, key: bytes, store: str) -> bytes:
        """Encrypt the key to a new random key.

        Args:
            key: the key [32].
            store: name of the key store, the associated data.
        """
        # The outer key is for one ciphertext only, so the nonce may be zero.
        self._outer_keys[store] = os.urandom(32)
        return AESGCM(self._outer_keys[store]).encrypt(bytes(12), key, store.encode())

    def unwrap(self, wrapped: bytes, store: str) -> bytes:
        """Decrypt the key, in the process that wrapped it.

        Args:
            wrapped: the result of `wrap`.
            store: name of the key store, the associated data.

        Raises:
            KeyMissingError: Another process wrapped it.
        """
        if store not in self._outer_keys:
            raise KeyMissingError("the process that could open these keys has ended")
        return AESGCM(self._outer_keys[store]).decrypt(bytes(12), wrapped, store.encode())

    @classmethod
    def forget(cls, store: str) -> None:
        """Forget the key of a store, after which nothing in it can be read.

        Args:
            store: name of the key store.
        """
        cls._outer_keys.pop(store, None)


# Name of `ProcessWrapping` in master.json. It is not in the table below, which is what a user may
# choose: a registry of this kind would be lost with the command that made it.
PROCESS_WRAPPING = "process"
# Wrappings that come with dubfew, by the name that master.json and the command line use.
KEY_WRAPPINGS: dict[str, type[KeyWrapping]] = {
    "file": PlainFileWrapping,
    "passphrase": PassphraseWrapping,
    "keyring": KeyringWrapping,
}


def wrap_key(wrapping_name: str, key: bytes, store: str) -> bytes:
    """Wrap a key.

    Args:
        wrapping_name: name of an entry of `KEY_WRAPPINGS` or of an entry point.
        key: the key [32].
        store: name of the key store; :func:`unwrap_key` needs the same.

    Raises:
        RegistryError: The wrapping is unknown or fails.
    """
    return _call_wrapping(wrapping_name, "wrap", key, store)


def unwrap_key(wrapping_name: str, wrapped: bytes, store: str) -> bytes:
    """Unwrap a key that :func:`wrap_key` wrapped.

    Args:
        wrapping_name: the same name.
        wrapped: the result of :func:`wrap_key`.
        store: name of the key store.

    Returns:
        The key [32].

    Raises:
        RegistryError: The wrapping is unknown or fails.
        DecryptionError: The result is not a key of 32 bytes.
    """
    key = _call_wrapping(wrapping_name, "unwrap", wrapped, store)
    if len(key) != 32:
        raise DecryptionError(f"{wrapping_name!r} gave a key of {len(key)} bytes: expected 32")
    return key


def _call_wrapping(wrapping_name: str, method: str, data: bytes, store: str) -> bytes:
    """Call "wrap" or "unwrap" of a wrapping; all its errors become errors of dubfew."""
    try:
        result = getattr(_make_wrapping(wrapping_name), method)(data, store)
    except DubfewError:
        raise
    except Exception as error:  # other packages raise errors of any kind
        found = " ".join(f"{type(error).__name__} {error}".split())
        raise DecryptionError(
            f"{wrapping_name!r} could not {method} the key ({found[:200]})"
        ) from error
    return bytes(result)


def _make_wrapping(name: str) -> KeyWrapping:
    """Find a wrapping in the table or among the entry points, and create it."""
    if name == PROCESS_WRAPPING:
        return ProcessWrapping()
    if name in KEY_WRAPPINGS:
        return KEY_WRAPPINGS[name]()
    # Packages are searched only for a name that dubfew does not have.
    found = entry_points(group=ENTRY_POINT_GROUP)
    for entry in found:
        if entry.name == name:
            return entry.load()()
    known = ", ".join([*KEY_WRAPPINGS, *sorted(entry.name for entry in found)])
    raise RegistryError(
        f"no key wrapping {name!r}, only {known}: name one of these, or install the package that "
        "adds it"
    )
