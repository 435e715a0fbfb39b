"""Authenticated encryption of files in chunks, with memory that does not grow with the file.

A sealed file is ``MAGIC | salt [32] | commitment [32] | chunks``. HKDF-SHA256 derives a key for
this file alone and the commitment from the actor's key, the salt and the context, which names the
file. Every chunk is AES-256-GCM over 65536 bytes of content (the last chunk: the rest), followed by
its tag [16]. A chunk's nonce is its number (11 bytes, big endian) and one byte that is 1 for the
last chunk only. Chunks therefore cannot be changed, reordered, dropped, repeated or cut off.

The context takes the role of associated data: another context gives another key, so a file that
was put in another file's place does not open. The key commitment tells a wrong key or a wrong place
from damage. It is needed because AES-GCM alone does not commit to its key: a ciphertext can be made
that opens under two keys.

Source: Hoang, Reyhanitabar, Rogaway and Vizár 2015, Online Authenticated-Encryption and its
Nonce-Reuse Misuse-Resistance (CRYPTO 2015), sec. 7, the STREAM construction; laid out as the
payload of age (https://c2sp.org/age), with AES-256-GCM in place of ChaCha20-Poly1305. The
commitment: Albertini, Duong, Gueron, Kölbl, Luykx and Schmieg 2022, How to Abuse and Fix
Authenticated Encryption Without Key Commitment (USENIX Security 2022).
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

# First bytes of every sealed file; the last byte is the version of this format.
SEALED_FILE_MAGIC = b"dubfew\x00\x01"
# Sizes in bytes. 32 bytes of salt and key give 256-bit security; the commitment is as long as a
# SHA-256 digest, so that two keys with one commitment cannot be found.
FILE_SALT_BYTES = COMMITMENT_BYTES = KEY_BYTES = 32
HEADER_BYTES = len(SEALED_FILE_MAGIC) + FILE_SALT_BYTES + COMMITMENT_BYTES
# Length of a GCM tag, bytes. Shorter tags are easier to forge.
TAG_BYTES = 16
# Content of one chunk, bytes. Larger chunks need more memory, smaller ones spend more on tags
# (here 0.02 %). It is part of the format.
CHUNK_BYTES = 1 << 16


class ByteSink(Protocol):
    """Anything that bytes can be written to."""

    def write(self, data: bytes, /) -> object:
        """Append ``data``."""


def generate_key() -> bytes:
    """Return a random key of 256 bits."""
    return os.urandom(KEY_BYTES)


def sealed_size(size: int) -> int:
    """Return the size in bytes of a sealed file whose content has ``size`` bytes.

    Example:
        >>> sealed_size(0), sealed_size(65536), sealed_size(65537)
        (88, 65624, 65641)
    """
    chunks = max(1, -(-size // CHUNK_BYTES))
    return HEADER_BYTES + size + chunks * TAG_BYTES


def seal_stream(key: bytes, context: bytes, source: BinaryIO, target: ByteSink) -> None:
    """Encrypt a stream to its end.

    Args:
        key: 32 bytes.
        context: associated data that names the file; :func:`unseal_stream` needs the same.
        source: the content.
        target: where the sealed file is written.
    """
    salt = os.urandom(FILE_SALT_BYTES)
    cipher, commitment = _derive_file_cipher(key, salt, context)
    target.write(SEALED_FILE_MAGIC + salt + commitment)
    chunk, number, last = source.read(CHUNK_BYTES), 0, False
    while not last:
        # Read one chunk ahead: only then is it known whether this one is the last.
        following = source.read(CHUNK_BYTES)
        last = not following
        target.write(cipher.encrypt(_chunk_nonce(number, last), chunk, None))
        chunk, number = following, number + 1


def unseal_stream(key: bytes, context: bytes, source: BinaryIO) -> Iterator[bytes]:
    """Decrypt a sealed file chunk by chunk.

    Each chunk is authentic when it is yielded, but only the end of the iteration proves that none
    is missing.

    Args:
        key: 32 bytes.
        context: the same as for :func:`seal_stream`.
        source: the sealed file.

    Raises:
        DecryptionError: The source is not a sealed file, belongs to another key or place, or was
            changed or cut.
    """
    cipher = _cipher_from_header(key, context, source)
    chunk, number, last = source.read(CHUNK_BYTES + TAG_BYTES), 0, False
    while not last:
        following = source.read(CHUNK_BYTES + TAG_BYTES)
        last = not following
        # A chunk opens only with its own number and place, so order and completeness are checked.
        try:
            yield cipher.decrypt(_chunk_nonce(number, last), chunk, None)
        except InvalidTag:
            raise DecryptionError(f"it was changed or cut in chunk {number + 1}") from None
        chunk, number = following, number + 1


def seal_bytes(key: bytes, context: bytes, content: bytes) -> bytes:
    """Encrypt bytes in memory, as :func:`seal_stream` does with a stream.

    Args:
        key: 32 bytes.
        context: associated data; :func:`unseal_bytes` needs the same.
        content: the bytes to encrypt.

    Example:
        >>> key = generate_key()
        >>> unseal_bytes(key, b"a place", seal_bytes(key, b"a place", b"content"))
        b'content'
    """
    target = io.BytesIO()
    seal_stream(key, context, io.BytesIO(content), target)
    return target.getvalue()


def unseal_bytes(key: bytes, context: bytes, sealed: bytes) -> bytes:
    """Decrypt what :func:`seal_bytes` returned.

    Args:
        key: 32 bytes.
        context: the same as for :func:`seal_bytes`.
        sealed: a whole sealed file.

    Raises:
        DecryptionError: ``sealed`` is not a sealed file, belongs to another key or place, or was
            changed or cut.
    """
    return b"".join(unseal_stream(key, context, io.BytesIO(sealed)))


def check_sealed_header(key: bytes, context: bytes, source: BinaryIO) -> None:
    """Check that a sealed file belongs to a key and a context, without decrypting its content.

    Args:
        key: 32 bytes.
        context: the same as for :func:`seal_stream`.
        source: the sealed file.

    Raises:
        DecryptionError: Key or context is another, or the header was changed.
    """
    _cipher_from_header(key, context, source)


def _cipher_from_header(key: bytes, context: bytes, source: BinaryIO) -> AESGCM:
    """Read and check a header and return the cipher for the chunks behind it."""
    header = source.read(HEADER_BYTES)
    magic, salt = (
        header[: len(SEALED_FILE_MAGIC)],
        header[len(SEALED_FILE_MAGIC) : len(SEALED_FILE_MAGIC) + FILE_SALT_BYTES],
    )
    # Compare the magic without its last byte, which is the version.
    if len(header) < HEADER_BYTES or magic[:-1] != SEALED_FILE_MAGIC[:-1]:
        raise DecryptionError("it is not an encrypted file of dubfew")
    check_format_version(magic[-1], SEALED_FILE_MAGIC[-1], "it", DecryptionError)
    cipher, commitment = _derive_file_cipher(key, salt, context)
    # Compare in constant time, as with every secret-derived value.
    if not bytes_eq(commitment, header[-COMMITMENT_BYTES:]):
        raise DecryptionError("it belongs to another place or another key, or its head was changed")
    return cipher


def _derive_file_cipher(key: bytes, salt: bytes, context: bytes) -> tuple[AESGCM, bytes]:
    """Derive the cipher of one file, and its key commitment [32]."""
    # One derivation gives both, so that the commitment binds exactly this key.
    length = KEY_BYTES + COMMITMENT_BYTES
    derived = HKDF(SHA256(), length, salt, b"dubfew file\x00" + context).derive(key)
    return AESGCM(derived[:KEY_BYTES]), derived[KEY_BYTES:]


def _chunk_nonce(number: int, last: bool) -> bytes:
    """Build the nonce [12] of a chunk from its number and whether it is the last."""
    return number.to_bytes(11, "big") + bytes([last])
