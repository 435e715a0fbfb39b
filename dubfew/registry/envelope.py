"""Envelope encryption of exports, to a passphrase or to a public key.

``MAGIC [8] | version [1] | kind [1] | length [2, big endian] | sealed key | sealed archive``.
The archive (archive.py) is encrypted in chunks (cipher.py) with a new random key; its context is
everything before it. That key is sealed (sealing.py) to a passphrase (kind 1) or to an X25519
public key (kind 2).
"""

from __future__ import annotations

import base64
import binascii
import json
import zlib
from dataclasses import dataclass, field
from pathlib import Path

from dubfew.errors import DecryptionError, KeyMissingError, RegistryError
from dubfew.registry import cipher, sealing
from dubfew.registry.keys import write_key_file
from dubfew.utils.format_version import check_format_version
from dubfew.utils.passphrase import get_passphrase

# First bytes of every encrypted export. A plain export is a zip file and begins otherwise.
EXPORT_MAGIC = b"dubfew\x00X"
# Newest version of the layout that this dubfew reads and writes.
EXPORT_FORMAT_VERSION = 1
# Values of the byte that names the recipient's kind.
KIND_PASSPHRASE, KIND_PUBLIC_KEY = 1, 2
# Lengths in bytes: magic, version and kind; the same with the length of the sealed key.
START_BYTES, LENGTH_END_BYTES = len(EXPORT_MAGIC) + 2, len(EXPORT_MAGIC) + 4
# Start of every public key in text form, so that it is recognized for what it is.
PUBLIC_KEY_PREFIX = "dubfew-key-"
# Value of "format" in the file of a private key.
IDENTITY_FORMAT = "dubfew-private-key"
# Length of X25519 keys, bytes.
X25519_KEY_BYTES = 32


@dataclass(frozen=True)
class DecryptionSecrets:
    """Secrets that open encrypted exports.

    Attributes:
        passphrase: the passphrase; by default from the environment or the terminal.
        identity_file: file of the private key, for exports to a public key.
        private_key: the private key itself [32], of a process that keeps it in memory alone.
    """

    passphrase: str | None = None
    identity_file: Path | None = None
    private_key: bytes | None = field(default=None, repr=False)


def encrypt_export(
    archive: bytes, purpose: str, *, recipient: str | None = None, secret: str | None = None
) -> bytes:
    """Encrypt an archive to a passphrase or to a public key.

    Args:
        archive: the bytes to encrypt.
        purpose: name of the archive, for the question for a passphrase.
        recipient: a public key, as :func:`create_identity_file` returns it; by default a
            passphrase is used.
        secret: the passphrase; by default from ``DUBFEW_PASSPHRASE`` or the terminal.

    Raises:
        KeyMissingError: No passphrase is given, or it is too short.
        RegistryError: ``recipient`` is not a public key.
    """
    # A new key for every export: passphrase or public key protect only this key.
    key = cipher.generate_key()
    kind = KIND_PASSPHRASE if recipient is None else KIND_PUBLIC_KEY
    start = EXPORT_MAGIC + bytes([EXPORT_FORMAT_VERSION, kind])
    if recipient is None:
        words = get_passphrase(purpose, is_export=True, is_new=True, given=secret)
        sealed = sealing.seal_with_passphrase(words, key, start)
    else:
        sealed = sealing.seal_to_key(_parse_public_key(recipient), key, start)
    # The whole head is associated data of the archive, so that it cannot be exchanged.
    head = start + len(sealed).to_bytes(2, "big") + sealed
    return head + cipher.seal_bytes(key, head, archive)


def is_encrypted_export(data: bytes) -> bool:
    """Tell whether an export is encrypted.

    Example:
        >>> is_encrypted_export(b"PK, as zip files begin")
        False
    """
    return data.startswith(EXPORT_MAGIC)


def decrypt_export(data: bytes, source: str, decryption_secrets: DecryptionSecrets) -> bytes:
    """Return the archive that :func:`encrypt_export` encrypted.

    Args:
        data: the export; its sender is not trusted.
        source: name of the export in error messages.
        decryption_secrets: passphrase or private key.

    Raises:
        DecryptionError: The passphrase or key is wrong, or the export was changed.
        KeyMissingError: No passphrase or key is given.
        RegistryError: A newer dubfew wrote the export.
    """
    # Lengths are checked before anything is computed; scrypt is costly.
    start, length = data[:START_BYTES], int.from_bytes(data[START_BYTES:LENGTH_END_BYTES], "big")
    head, body = data[: LENGTH_END_BYTES + length], data[LENGTH_END_BYTES + length :]
    if len(start) < START_BYTES or start[-1] not in (KIND_PASSPHRASE, KIND_PUBLIC_KEY) or not body:
        raise _damaged_export_error(source, "its head is cut or unknown")
    check_format_version(start[len(EXPORT_MAGIC)], EXPORT_FORMAT_VERSION, source, RegistryError)
    try:
        key = _decrypt_file_key(start, head[LENGTH_END_BYTES:], source, decryption_secrets)
        if len(key) != cipher.KEY_BYTES:
            raise DecryptionError("its key has another length")
        return cipher.unseal_bytes(key, head, body)
    except DecryptionError as error:
        raise _damaged_export_error(source, str(error)) from None


def _decrypt_file_key(
    start: bytes, sealed: bytes, source: str, decryption_secrets: DecryptionSecrets
) -> bytes:
    """Open the sealed key of an export; ``start`` is its associated data."""
    # The kind tells which secret is needed.
    if start[-1] == KIND_PUBLIC_KEY:
        private = decryption_secrets.private_key
        if private is None and decryption_secrets.identity_file is None:
            raise KeyMissingError(
                f"{source} is encrypted to a key: name the file of its private key with --identity"
            )
        if private is None:
            assert decryption_secrets.identity_file is not None  # as checked above
            private = load_identity_key(decryption_secrets.identity_file)
        return sealing.open_with_key(private, sealed, start)
    words = get_passphrase(source, is_export=True, given=decryption_secrets.passphrase)
    return sealing.open_with_passphrase(words, sealed, start)


def create_identity_file(file: Path) -> str:
    """Create a pair of keys: write the private key into a new private file, return the public key.

    Returns:
        The public key: ``dubfew-key-`` and 48 letters, digits, ``-`` or ``_``.

    Raises:
        RegistryError: The file exists already.
    """
    # Never replace a private key: exports to it could not be opened any more.
    if file.exists():
        raise RegistryError(f"{file} is there already: name a new file, so that no key is lost")
    private = sealing.generate_x25519_key()
    public = format_public_key(sealing.derive_public_key(private))
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
    """Read a private key [32] from a file.

    Raises:
        KeyMissingError: The file cannot be read or does not hold a private key.
    """
    try:
        # Any other file ends in one error; its content is not shown.
        document = json.loads(file.read_bytes())
        private = base64.b64decode(document["private"], validate=True)
        if document["format"] == IDENTITY_FORMAT and len(private) == X25519_KEY_BYTES:
            return private
        found = "another format"
    except OSError as error:
        found = str(error.strerror)
    except (ValueError, KeyError, TypeError, RecursionError):
        found = "another format"
    raise KeyMissingError(
        f"{file} holds no private key ({found}): name a file from 'actors keygen'"
    )


def format_public_key(public: bytes) -> str:
    """Write a public key [32] as text."""
    # Without a checksum a mistyped key would be accepted, and nobody could open the export.
    summed = public + zlib.crc32(public).to_bytes(4, "big")
    return PUBLIC_KEY_PREFIX + base64.urlsafe_b64encode(summed).decode()


def _parse_public_key(text: str) -> bytes:
    """Read a public key [32] from its text and check its checksum."""
    try:
        summed = base64.b64decode(text.removeprefix(PUBLIC_KEY_PREFIX), b"-_", validate=True)
    except (ValueError, binascii.Error):
        summed = b""
    # Writing the key again checks prefix, length and checksum at once.
    if format_public_key(summed[:X25519_KEY_BYTES]) != text:
        raise RegistryError(
            f"{text[:70]!a} is not a public key: copy all of what 'actors keygen' printed, from "
            f"{PUBLIC_KEY_PREFIX!r} on"
        )
    return summed[:X25519_KEY_BYTES]


def _damaged_export_error(source: str, problem: str) -> DecryptionError:
    """Build the error for an export that does not open."""
    return DecryptionError(
        f"{source} cannot be opened ({problem}): give what it was encrypted to, or export again"
    )
