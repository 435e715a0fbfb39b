"""An export that only its addressee can open: whoever knows a passphrase, or holds a key.

``MAGIC [8] | version [1] | kind [1] | length [2, big endian] | sealed key | sealed archive``.
The archive (archive.py) is sealed in chunks (cipher.py) with a new random key, for the context of
everything before it; that key is sealed (sealing.py) to a passphrase (kind 1) or to an X25519
public key (kind 2).
"""

from __future__ import annotations

import base64
import binascii
import json
import zlib
from dataclasses import dataclass
from pathlib import Path

from dubfew.errors import DecryptionError, KeyMissingError, RegistryError
from dubfew.registry import cipher, sealing
from dubfew.registry.keys import write_key_file
from dubfew.utils.format_version import check_format_version
from dubfew.utils.passphrase import get_passphrase

EXPORT_MAGIC = b"dubfew\x00X"
EXPORT_FORMAT_VERSION = 1
KIND_PASSPHRASE, KIND_PUBLIC_KEY = 1, 2
EXPORT_PASSPHRASE_VARIABLE = "DUBFEW_EXPORT_PASSPHRASE"
PUBLIC_KEY_PREFIX = "dubfew-key-"
IDENTITY_FORMAT = "dubfew-private-key"


@dataclass(frozen=True)
class DecryptionSecrets:
    """What opens exports. Without a passphrase the environment or the terminal gives it."""

    passphrase: str | None = None
    identity_file: Path | None = None


def encrypt_export(
    archive: bytes, purpose: str, *, recipient: str | None = None, secret: str | None = None
) -> bytes:
    """Encrypt an archive.

    Args:
        purpose: what is encrypted, to ask for a passphrase with.
        recipient: a public key, as :func:`create_identity_file` gives it; else a passphrase is
            used.
        secret: the passphrase; by default from ``DUBFEW_EXPORT_PASSPHRASE`` or the terminal.

    Raises:
        KeyMissingError: there is no passphrase, or it is short.
        RegistryError: the public key is none.
    """
    key = cipher.generate_key()
    kind = KIND_PASSPHRASE if recipient is None else KIND_PUBLIC_KEY
    start = EXPORT_MAGIC + bytes([EXPORT_FORMAT_VERSION, kind])
    if recipient is None:
        words = get_passphrase(EXPORT_PASSPHRASE_VARIABLE, purpose, is_new=True, given=secret)
        sealed = sealing.seal_with_passphrase(words, key, start)
    else:
        sealed = sealing.seal_to_key(_parse_public_key(recipient), key, start)
    head = start + len(sealed).to_bytes(2, "big") + sealed
    return head + cipher.seal_bytes(key, head, archive)


def is_encrypted_export(data: bytes) -> bool:
    """Whether this is an encrypted export, rather than a plain one."""
    return data.startswith(EXPORT_MAGIC)


def decrypt_export(data: bytes, source: str, decryption_secrets: DecryptionSecrets) -> bytes:
    """The archive that :func:`encrypt_export` was given.

    Args:
        source: what to call the export in an error.

    Raises:
        DecryptionError: the passphrase or key is wrong, or the export was changed.
        KeyMissingError: there is no passphrase or key.
    """
    start, length = data[:10], int.from_bytes(data[10:12], "big")
    head, body = data[: 12 + length], data[12 + length :]
    if len(start) < 10 or start[-1] not in (KIND_PASSPHRASE, KIND_PUBLIC_KEY) or not body:
        raise _damaged_export_error(source, "its head is cut or unknown")
    check_format_version(start[8], EXPORT_FORMAT_VERSION, source, RegistryError)
    try:
        key = _decrypt_file_key(start, head[12:], source, decryption_secrets)
        if len(key) != cipher.KEY_BYTES:
            raise DecryptionError("its key has another length")
        return cipher.unseal_bytes(key, head, body)
    except DecryptionError as error:
        raise _damaged_export_error(source, str(error)) from None


def _decrypt_file_key(
    start: bytes, sealed: bytes, source: str, decryption_secrets: DecryptionSecrets
) -> bytes:
    if start[-1] == KIND_PUBLIC_KEY:
        if decryption_secrets.identity_file is None:
            raise KeyMissingError(
                f"{source} is encrypted to a key: name the file of its private key with --identity"
            )
        return sealing.open_with_key(
            load_identity_key(decryption_secrets.identity_file), sealed, start
        )
    words = get_passphrase(EXPORT_PASSPHRASE_VARIABLE, source, given=decryption_secrets.passphrase)
    return sealing.open_with_passphrase(words, sealed, start)


def create_identity_file(file: Path) -> str:
    """Make a pair of keys, write the private one into a new file of the owner's, and return the
    public one: ``dubfew-key-`` and 48 letters, digits, ``-`` or ``_``.

    Raises:
        RegistryError: the file is there already.
    """
    if file.exists():
        raise RegistryError(f"{file} is there already: name a new file, so that no key is lost")
    private = sealing.generate_x25519_key()
    public = _format_public_key(sealing.derive_public_key(private))
    document = {
        "format": IDENTITY_FORMAT,
        "format_version": 1,
        "public": public,
        "private": base64.b64encode(private).decode(),
    }
    file.parent.mkdir(parents=True, exist_ok=True)
    write_key_file(file, json.dumps(document, indent=1).encode())
    return public


def load_identity_key(file: Path) -> bytes:
    """A private key [32].

    Raises:
        KeyMissingError: the file holds none.
    """
    try:
        document = json.loads(file.read_bytes())
        private = base64.b64decode(document["private"], validate=True)
        if document["format"] == IDENTITY_FORMAT and len(private) == 32:
            return private
        found = "another format"
    except OSError as error:
        found = str(error.strerror)
    except (ValueError, KeyError, TypeError, RecursionError):
        found = "another format"
    raise KeyMissingError(
        f"{file} holds no private key ({found}): name a file from 'actors keygen'"
    )


def _format_public_key(public: bytes) -> str:
    # The checksum: a mistyped key would be a key as well, and nobody's.
    summed = public + zlib.crc32(public).to_bytes(4, "big")
    return PUBLIC_KEY_PREFIX + base64.urlsafe_b64encode(summed).decode()


def _parse_public_key(text: str) -> bytes:
    try:
        summed = base64.b64decode(text.removeprefix(PUBLIC_KEY_PREFIX), b"-_", validate=True)
    except (ValueError, binascii.Error):
        summed = b""
    if _format_public_key(summed[:32]) != text:
        raise RegistryError(
            f"{text[:70]!a} is no public key: copy all of what 'actors keygen' printed, from "
            f"{PUBLIC_KEY_PREFIX!r} on"
        )
    return summed[:32]


def _damaged_export_error(source: str, problem: str) -> DecryptionError:
    return DecryptionError(
        f"{source} cannot be opened ({problem}): give what it was encrypted to, or export again"
    )
