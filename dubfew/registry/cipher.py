"""Files encrypted in chunks, so that memory does not grow with them.

A sealed file is ``MAGIC | salt [32] | commitment [32] | chunks``. From the key, the salt and the
context (which file this is), HKDF-SHA256 derives a key for this file alone and the commitment.
Every chunk is AES-256-GCM over 65536 bytes of content, the last over what is left, each followed
by its tag [16]. A chunk's nonce is its number (11 bytes, big endian) and one byte that is 1 for
the last chunk only: chunks cannot be changed, reordered, dropped, repeated or cut off.

Another context gives another key, so a file that was put in another's place does not open. The
commitment tells a wrong key or a wrong place from damage, and is needed because AES-GCM alone
would open under two keys what was made to do so.

Source: the STREAM construction, Hoang, Reyhanitabar, Rogaway and Vizár 2015, Online Authenticated-
Encryption and its Nonce-Reuse Misuse-Resistance, sec. 7; laid out as the payload of age
(https://c2sp.org/age), with AES-256-GCM for ChaCha20-Poly1305. The commitment: Albertini et al.
2022, How to Abuse and Fix Authenticated Encryption Without Key Commitment.
"""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from typing import BinaryIO, Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.constant_time import bytes_eq
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from dubfew.errors import DecryptionError
from dubfew.utils.format_version import check_format_version

SEALED_FILE_MAGIC = b"dubfew\x00\x01"  # the last byte is the version of this format
FILE_SALT_BYTES = COMMITMENT_BYTES = KEY_BYTES = 32
HEADER_BYTES = len(SEALED_FILE_MAGIC) + FILE_SALT_BYTES + COMMITMENT_BYTES
TAG_BYTES = 16
CHUNK_BYTES = 1 << 16


class ByteSink(Protocol):
    """What can be written to."""

    def write(self, data: bytes, /) -> object:
        """Add to it."""


def generate_key() -> bytes:
    """A random key of 256 bits."""
    return os.urandom(KEY_BYTES)


def sealed_size(size: int) -> int:
    """How many bytes ``size`` bytes take when sealed."""
    chunks = max(1, -(-size // CHUNK_BYTES))
    return HEADER_BYTES + size + chunks * TAG_BYTES


def seal_stream(key: bytes, context: bytes, source: BinaryIO, target: ByteSink) -> None:
    """Encrypt ``source`` to its end into ``target``.

    Args:
        key: 32 bytes.
        context: says which file this is; :func:`unseal_stream` needs the same.
    """
    salt = os.urandom(FILE_SALT_BYTES)
    cipher, commitment = _derive_file_cipher(key, salt, context)
    target.write(SEALED_FILE_MAGIC + salt + commitment)
    chunk, number, last = source.read(CHUNK_BYTES), 0, False
    while not last:
        following = source.read(CHUNK_BYTES)
        last = not following
        target.write(cipher.encrypt(_chunk_nonce(number, last), chunk, None))
        chunk, number = following, number + 1


def unseal_stream(key: bytes, context: bytes, source: BinaryIO) -> Iterator[bytes]:
    """The content of a sealed file, chunk by chunk; each is authentic, but only the end of the
    iteration says that none is missing.

    Raises:
        DecryptionError: it is not a sealed file, belongs elsewhere, or was changed or cut.
    """
    cipher = _cipher_from_header(key, context, source)
    chunk, number, last = source.read(CHUNK_BYTES + TAG_BYTES), 0, False
    while not last:
        following = source.read(CHUNK_BYTES + TAG_BYTES)
        last = not following
        try:
            yield cipher.decrypt(_chunk_nonce(number, last), chunk, None)
        except InvalidTag:
            raise DecryptionError(f"it was changed or cut in chunk {number + 1}") from None
        chunk, number = following, number + 1


def seal_bytes(key: bytes, context: bytes, content: bytes) -> bytes:
    """:func:`seal_stream` for what is in memory already."""
    target = io.BytesIO()
    seal_stream(key, context, io.BytesIO(content), target)
    return target.getvalue()


def unseal_bytes(key: bytes, context: bytes, sealed: bytes) -> bytes:
    """:func:`unseal_stream` for what is in memory already."""
    return b"".join(unseal_stream(key, context, io.BytesIO(sealed)))


def check_sealed_header(key: bytes, context: bytes, source: BinaryIO) -> None:
    """Check that key and place are right, without reading the content.

    Raises:
        DecryptionError: they are not.
    """
    _cipher_from_header(key, context, source)


def _cipher_from_header(key: bytes, context: bytes, source: BinaryIO) -> AESGCM:
    header = source.read(HEADER_BYTES)
    magic, salt = (
        header[: len(SEALED_FILE_MAGIC)],
        header[len(SEALED_FILE_MAGIC) : len(SEALED_FILE_MAGIC) + FILE_SALT_BYTES],
    )
    if len(header) < HEADER_BYTES or magic[:-1] != SEALED_FILE_MAGIC[:-1]:
        raise DecryptionError("it is not an encrypted file of dubfew")
    check_format_version(magic[-1], SEALED_FILE_MAGIC[-1], "it", DecryptionError)
    cipher, commitment = _derive_file_cipher(key, salt, context)
    if not bytes_eq(commitment, header[-COMMITMENT_BYTES:]):
        raise DecryptionError("it belongs to another place or another key, or its head was changed")
    return cipher


def _derive_file_cipher(key: bytes, salt: bytes, context: bytes) -> tuple[AESGCM, bytes]:
    length = KEY_BYTES + COMMITMENT_BYTES
    derived = HKDF(SHA256(), length, salt, b"dubfew file\x00" + context).derive(key)
    return AESGCM(derived[:KEY_BYTES]), derived[KEY_BYTES:]


def _chunk_nonce(number: int, last: bool) -> bytes:
    return number.to_bytes(11, "big") + bytes([last])
