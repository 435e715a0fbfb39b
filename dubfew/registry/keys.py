"""The key store: one key per actor, wrapped by a master key and kept apart from the data.

Layout, readable by the owner only (files 0600, folders 0700)::

    <keys>/<registry id>/master.json      the master key, wrapped as wrapping.py describes
    <keys>/<registry id>/<actor folder>.key   nonce [12] | AES-256-GCM(actor's key) | tag [16]

With two levels, a new passphrase changes one file, and losing one small file of random bytes
destroys an actor.
"""

from __future__ import annotations

import base64
import binascii
import json
import os
from contextlib import suppress
from functools import lru_cache
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from dubfew.errors import DecryptionError, KeyMissingError, RegistryError
from dubfew.registry import cipher, wrapping
from dubfew.registry.shredding import replace_and_shred, shred_file
from dubfew.utils.files import fsync_folder
from dubfew.utils.format_version import check_format_version
from dubfew.utils.private_files import write_private_file

# Newest version of master.json that this dubfew reads and writes.
MASTER_KEY_FORMAT_VERSION = 1
MASTER_KEY_NAME = "master.json"
# Suffix of the files of actors' keys; the stem is the name of the actor's folder.
KEY_SUFFIX = ".key"
# Wrapping of a new master key. It needs neither a passphrase nor a keyring, so that dubfew works
# without questions; docs/privacy.md lists what each wrapping protects from.
DEFAULT_WRAPPING = "file"
# Length of an AES-GCM nonce, bytes.
_NONCE_BYTES = 12


class KeyStore:
    """The keys of one registry.

    Only :meth:`load_key` and the methods that change keys unlock the master key. Call every method
    that writes with the registry's lock held.

    Args:
        folder: folder of this registry's keys, which need not exist yet.
        new_wrapping: wrapping of a master key that is created here.
    """

    def __init__(self, folder: Path, new_wrapping: str = DEFAULT_WRAPPING) -> None:
        self.folder = folder
        self._new_wrapping = new_wrapping
        self._master_file = folder / MASTER_KEY_NAME

    @property
    def wrapping_name(self) -> str:
        """Name of the wrapping that protects the master key."""
        return (
            self._read_master_document()["wrapping"]
            if self._master_file.exists()
            else self._new_wrapping
        )

    def check_unlockable(self) -> None:
        """Check that the master key can be unlocked, before work that needs it.

        Raises:
            RegistryError: It cannot be unlocked.
        """
        if self._master_file.exists():
            self._unlock_master_key()

    def create_key(self, actor_folder: str) -> bytes:
        """Create a key for an actor and return it; the wrapped key is on disk by then.

        Raises:
            RegistryError: The master key cannot be unlocked.
        """
        # The first key of a registry creates its master key.
        if not self._master_file.exists():
            self._write_master_key(cipher.generate_key(), self._new_wrapping)
        key = cipher.generate_key()
        nonce = os.urandom(_NONCE_BYTES)
        # The folder's name is associated data: a key file does not open in another's place.
        sealed = AESGCM(self._unlock_master_key()).encrypt(nonce, key, actor_folder.encode())
        write_key_file(self._key_path(actor_folder), nonce + sealed)
        return key

    def load_key(self, actor_folder: str) -> bytes:
        """Read and unwrap the key of an actor.

        Raises:
            KeyMissingError: The key file or the master key is missing.
            DecryptionError: The key is damaged or belongs to another master key.
        """
        path = self._key_path(actor_folder)
        try:
            # A missing file and a damaged one need different remedies, so they have two errors.
            sealed = path.read_bytes()
        except OSError as error:
            raise KeyMissingError(
                f"the key {path} cannot be read ({error.strerror}): bring back the folder of keys "
                "that belongs to these actors, or name it in DUBFEW_KEYS"
            ) from error
        try:
            return AESGCM(self._unlock_master_key()).decrypt(
                sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], actor_folder.encode()
            )
        except (InvalidTag, ValueError):  # ValueError: too short
            raise DecryptionError(
                f"the key {path} is damaged or belongs to another {MASTER_KEY_NAME}: bring back "
                "both from the same backup, or adapt the actor again"
            ) from None

    def has_key(self, actor_folder: str) -> bool:
        """Tell whether an actor has a key; fast enough to call for every frame."""
        return self._key_path(actor_folder).exists()

    def destroy_key(self, actor_folder: str) -> None:
        """Overwrite and remove the key of an actor, with what a killed process left of it."""
        path = self._key_path(actor_folder)
        # A process that was killed while it wrote may have left the key in the temporary file.
        for each in (path, _temporary_path(path)):
            with suppress(FileNotFoundError):
                shred_file(each)

    def actor_folders(self) -> set[str]:
        """Return the names of the folders of all actors that have a key."""
        return {path.name[: -len(KEY_SUFFIX)] for path in self.folder.glob(f"*{KEY_SUFFIX}")}

    def rewrap_master_key(self, wrapping_name: str) -> None:
        """Wrap the master key in another way from now on.

        Args:
            wrapping_name: "file", "passphrase", "keyring" or the name of an entry point.

        Raises:
            RegistryError: The wrapping is unknown or fails, or the key cannot be unlocked.
        """
        # The master key stays the same: only its protection changes, not the actors' keys.
        master = self._unlock_master_key() if self._master_file.exists() else cipher.generate_key()
        self._write_master_key(master, wrapping_name)

    def _unlock_master_key(self) -> bytes:
        """Return the master key, unwrapped once per process."""
        try:
            return _unwrap_master_key(self._master_file.read_bytes(), self.folder.name)
        except OSError as error:
            raise KeyMissingError(
                f"the master key {self._master_file} cannot be read ({error.strerror}): bring back "
                "the folder of keys that belongs to these actors, or name it in DUBFEW_KEYS"
            ) from error
        except DecryptionError as error:
            raise DecryptionError(
                f"the actors' keys stay locked ({error}): give what unlocks {self._master_file}"
            ) from error

    def _read_master_document(self) -> dict[str, str]:
        return _parse_master_document(self._master_file.read_bytes())

    def _write_master_key(self, master: bytes, wrapping_name: str) -> None:
        """Wrap the master key and write master.json, overwriting the old one."""
        document = {
            "format_version": MASTER_KEY_FORMAT_VERSION,
            "wrapping": wrapping_name,
            "master": base64.b64encode(
                wrapping.wrap_key(wrapping_name, master, self.folder.name)
            ).decode(),
        }
        # The folder must survive a power cut, or the keys in it would be lost.
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        fsync_folder(self.folder.parent)
        write_key_file(self._master_file, json.dumps(document, indent=1).encode())

    def _key_path(self, actor_folder: str) -> Path:
        return self.folder / f"{actor_folder}{KEY_SUFFIX}"


# Cached by the file's content, because scrypt takes a third of a second and keyrings may ask the
# user. More than one entry, so that a process can work on several registries.
@lru_cache(maxsize=4)
def _unwrap_master_key(document: bytes, store: str) -> bytes:
    """Unwrap the master key of master.json's content for a key store."""
    parsed = _parse_master_document(document)
    return wrapping.unwrap_key(parsed["wrapping"], base64.b64decode(parsed["master"]), store)


def forget_master_keys() -> None:
    """Forget the unwrapped master keys of this process; a later use unwraps them anew."""
    _unwrap_master_key.cache_clear()


def _parse_master_document(document: bytes) -> dict[str, str]:
    """Parse and check the content of master.json."""
    try:
        # Check everything that is used later, so that damage has one clear error.
        parsed = json.loads(document)
        version = parsed["format_version"]
        base64.b64decode(parsed["master"], validate=True)
        sound = type(version) is int and isinstance(parsed["wrapping"], str)
    except (ValueError, KeyError, TypeError, RecursionError, binascii.Error):
        sound = False
    if not sound:
        raise DecryptionError(f"{MASTER_KEY_NAME} is damaged")
    check_format_version(version, MASTER_KEY_FORMAT_VERSION, MASTER_KEY_NAME, RegistryError)
    return parsed


def write_key_file(path: Path, data: bytes) -> None:
    """Write a private file and overwrite the content of the file that it replaces.

    Call with a lock held: all writers of a path use the same temporary file, so that a key which
    a killed process left there is found and destroyed with the actor.

    Args:
        path: the file.
        data: its content.

    Raises:
        OSError: The file cannot be written.
    """
    write_private_file(path, data, temporary=_temporary_path(path), replace=replace_and_shred)


def _temporary_path(path: Path) -> Path:
    """Return the file to which a new version of a key file is written first."""
    return path.with_name(f"{path.name}.new")
