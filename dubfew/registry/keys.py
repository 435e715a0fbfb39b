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
from typing import TYPE_CHECKING

from platformdirs import user_config_dir, user_data_dir

from dubfew.errors import DecryptionError, KeyMissingError, RegistryError
from dubfew.registry.shredding import replace_and_shred, shred_file
from dubfew.utils.files import fsync_folder

if TYPE_CHECKING:  # the package itself is imported late, for the speed of listing
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

MASTER_KEY_FORMAT_VERSION = 1
MASTER_KEY_NAME = "master.json"
KEY_SUFFIX = ".key"
DEFAULT_WRAPPING = "file"


def default_keys_folder(home: Path) -> Path:
    """Where the keys of the registry at ``home`` are.

    ``DUBFEW_KEYS``; else for the default home the system's folder for a user's configuration,
    which backups and synchronisation of data do not take along; else ``<home>-keys``.
    """
    named = os.environ.get("DUBFEW_KEYS")
    if named:
        return Path(named).expanduser().absolute()
    if home == Path(user_data_dir("dubfew", appauthor=False)):
        # Not a folder in "dubfew": where data and configuration are one folder, as on macOS
        # and Windows, the keys would lie inside the data.
        return Path(user_config_dir("dubfew-keys", appauthor=False))
    return home.with_name(f"{home.name}-keys")


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
        from dubfew.registry import cipher

        if not self._master_file.exists():
            self._write_master_key(cipher.generate_key(), DEFAULT_WRAPPING)
        key = cipher.generate_key()
        nonce = os.urandom(12)
        sealed = _aes_gcm(self._unlock_master_key()).encrypt(nonce, key, actor_folder.encode())
        write_private_file(self._key_path(actor_folder), nonce + sealed)
        return key

    def load_key(self, actor_folder: str) -> bytes:
        """An actor's key.

        Raises:
            KeyMissingError: there is none.
            DecryptionError: it is damaged, or the master key is another.
        """
        from cryptography.exceptions import InvalidTag

        path = self._key_path(actor_folder)
        try:
            sealed = path.read_bytes()
        except OSError as error:
            raise KeyMissingError(
                f"the key {path} cannot be read ({error.strerror}): bring back the folder of keys "
                "that belongs to these actors, or name it in DUBFEW_KEYS"
            ) from error
        try:
            return _aes_gcm(self._unlock_master_key()).decrypt(
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
        from dubfew.registry import cipher

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
        from dubfew.registry import wrapping

        document = {
            "format_version": MASTER_KEY_FORMAT_VERSION,
            "wrapping": wrapping_name,
            "master": base64.b64encode(
                wrapping.wrap_key(wrapping_name, master, self.folder.name)
            ).decode(),
        }
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        fsync_folder(self.folder.parent)
        write_private_file(self._master_file, json.dumps(document, indent=1).encode())

    def _key_path(self, actor_folder: str) -> Path:
        return self.folder / f"{actor_folder}{KEY_SUFFIX}"


# The same file stands for the same key: scrypt and keyrings take their time once per process.
@lru_cache(maxsize=4)
def _unwrap_master_key(document: bytes, store: str) -> bytes:
    from dubfew.registry import wrapping

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
    if version > MASTER_KEY_FORMAT_VERSION:
        raise RegistryError(f"{MASTER_KEY_NAME} has format {version}, newer than 1: update dubfew")
    return parsed


def _aes_gcm(key: bytes) -> AESGCM:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    return AESGCM(key)


def write_private_file(path: Path, data: bytes) -> None:
    """Put a file of the owner's in its place, overwriting what another of the name held."""
    temporary = _temporary_path(path)
    temporary.unlink(missing_ok=True)
    handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        os.write(handle, data)
        os.fsync(handle)
    finally:
        os.close(handle)
    replace_and_shred(temporary, path)


def _temporary_path(path: Path) -> Path:
    return path.with_name(f"{path.name}.new")
