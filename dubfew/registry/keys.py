"""The key store: every actor's own key, apart from the actors' data.

Layout, all of it for the owner only (0600; folders 0700)::

    <keys>/<registry id>/master.json      the master key, kept as wrapping.py says
    <keys>/<registry id>/<actor folder>.key   nonce [12] | AES-256-GCM(actor's key) | tag [16]

Two levels, so that changing the passphrase changes one file, and so that what destroys an actor
is the loss of one small file of random bytes.
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

MASTER_KEY_FORMAT_VERSION = 1
MASTER_KEY_NAME = "master.json"
KEY_SUFFIX = ".key"
DEFAULT_WRAPPING = "file"


class KeyStore:
    """The keys of one registry. Only :meth:`load_key` and what changes keys unlock the master key.

    Every method that writes is called with the registry's lock held.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._master_file = folder / MASTER_KEY_NAME

    @property
    def wrapping_name(self) -> str:
        """How the master key is kept."""
        return (
            self._read_master_document()["wrapping"]
            if self._master_file.exists()
            else DEFAULT_WRAPPING
        )

    def check_unlockable(self) -> None:
        """See that the keys can be used, before the work that needs them.

        Raises:
            RegistryError: they cannot.
        """
        if self._master_file.exists():
            self._unlock_master_key()

    def create_key(self, actor_folder: str) -> bytes:
        """A new key for an actor, on disk before this returns."""
        if not self._master_file.exists():
            self._write_master_key(cipher.generate_key(), DEFAULT_WRAPPING)
        key = cipher.generate_key()
        nonce = os.urandom(12)
        sealed = AESGCM(self._unlock_master_key()).encrypt(nonce, key, actor_folder.encode())
        write_key_file(self._key_path(actor_folder), nonce + sealed)
        return key

    def load_key(self, actor_folder: str) -> bytes:
        """An actor's key.

        Raises:
            KeyMissingError: there is none.
            DecryptionError: it is damaged, or the master key is another.
        """
        path = self._key_path(actor_folder)
        try:
            sealed = path.read_bytes()
        except OSError as error:
            raise KeyMissingError(
                f"the key {path} cannot be read ({error.strerror}): bring back the folder of keys "
                "that belongs to these actors, or name it in DUBFEW_KEYS"
            ) from error
        try:
            return AESGCM(self._unlock_master_key()).decrypt(
                sealed[:12], sealed[12:], actor_folder.encode()
            )
        except (InvalidTag, ValueError):  # ValueError: too short
            raise DecryptionError(
                f"the key {path} is damaged or belongs to another {MASTER_KEY_NAME}: bring back "
                "both "
                "from the same backup, or adapt the actor again"
            ) from None

    def has_key(self, actor_folder: str) -> bool:
        """Whether the actor has a key; cheap enough to ask for every frame."""
        return self._key_path(actor_folder).exists()

    def destroy_key(self, actor_folder: str) -> None:
        """Overwrite and remove an actor's key, if there is one."""
        path = self._key_path(actor_folder)
        for each in (path, _temporary_path(path)):
            with suppress(FileNotFoundError):
                shred_file(each)

    def actor_folders(self) -> set[str]:
        """Whose keys there are."""
        return {path.name[: -len(KEY_SUFFIX)] for path in self.folder.glob(f"*{KEY_SUFFIX}")}

    def rewrap_master_key(self, wrapping_name: str) -> None:
        """Keep the master key another way from now on.

        Raises:
            RegistryError: there is no such way, it fails, or the key cannot be unlocked.
        """
        master = self._unlock_master_key() if self._master_file.exists() else cipher.generate_key()
        self._write_master_key(master, wrapping_name)

    def _unlock_master_key(self) -> bytes:
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
        document = {
            "format_version": MASTER_KEY_FORMAT_VERSION,
            "wrapping": wrapping_name,
            "master": base64.b64encode(
                wrapping.wrap_key(wrapping_name, master, self.folder.name)
            ).decode(),
        }
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        fsync_folder(self.folder.parent)
        write_key_file(self._master_file, json.dumps(document, indent=1).encode())

    def _key_path(self, actor_folder: str) -> Path:
        return self.folder / f"{actor_folder}{KEY_SUFFIX}"


# The same file stands for the same key: scrypt and keyrings take their time once per process.
@lru_cache(maxsize=4)
def _unwrap_master_key(document: bytes, store: str) -> bytes:
    parsed = _parse_master_document(document)
    return wrapping.unwrap_key(parsed["wrapping"], base64.b64decode(parsed["master"]), store)


def _parse_master_document(document: bytes) -> dict[str, str]:
    try:
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
    """Put a file of the owner's in its place, overwriting what another of the name held."""
    write_private_file(path, data, temporary=_temporary_path(path), replace=replace_and_shred)


def _temporary_path(path: Path) -> Path:
    return path.with_name(f"{path.name}.new")
