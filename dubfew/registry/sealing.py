"""Encryption of a short secret to a passphrase or to a public key.

To a passphrase: ``log2 n [1] | salt [16] | AES-256-GCM(secret) | tag [16]`` under a key derived by
scrypt (r = 8, p = 1). Every salt gives a new key, so the nonce may be zero. To a public key: HPKE
in base mode with X25519, HKDF-SHA256 and AES-256-GCM.

Source: Percival and Josefsson 2016, The scrypt Password-Based Key Derivation Function (RFC 7914);
Barnes, Bhargavan, Lipp and Wood 2022, Hybrid Public Key Encryption (RFC 9180).
"""

from __future__ import annotations

import os

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from dubfew.errors import DecryptionError

# Cost of new passphrase keys, log2 of scrypt's n. 17 is OWASP's first choice in 2023: 128 MiB and
# some tenths of a second for every guess. One more doubles both.
SCRYPT_LOG2_N = 17
# Largest cost that is accepted in a received file: 2^20 takes 1 GiB. Without a limit a hostile file
# could take all memory.
MAX_SCRYPT_LOG2_N = 20
# Length of scrypt's salt, bytes.
SCRYPT_SALT_BYTES = 16

_HPKE = Suite(KEM.X25519, KDF.HKDF_SHA256, AEAD.AES_256_GCM)


def derive_scrypt_key(passphrase: bytes, salt: bytes, log2_n: int) -> bytes:
    """Derive a key [32] from a passphrase, slowly by design.

    Args:
        passphrase: the passphrase.
        salt: random bytes, so that equal passphrases give different keys.
        log2_n: cost, log2 of scrypt's n.

    Example:
        >>> len(derive_scrypt_key(b"correct horse battery", b"salt", 4))
        32
    """
    return Scrypt(salt=salt, length=32, n=1 << log2_n, r=8, p=1).derive(passphrase)


def seal_with_passphrase(passphrase: bytes, secret: bytes, context: bytes) -> bytes:
    """Encrypt a secret to a passphrase.

    Args:
        passphrase: the passphrase.
        secret: the bytes to encrypt.
        context: associated data; :func:`open_with_passphrase` needs the same.
    """
    salt = os.urandom(SCRYPT_SALT_BYTES)
    key = derive_scrypt_key(passphrase, salt, SCRYPT_LOG2_N)
    return bytes([SCRYPT_LOG2_N]) + salt + AESGCM(key).encrypt(bytes(12), secret, context)


def open_with_passphrase(passphrase: bytes, sealed: bytes, context: bytes) -> bytes:
    """Decrypt what :func:`seal_with_passphrase` returned.

    Args:
        passphrase: the passphrase.
        sealed: the encrypted secret; its sender is not trusted.
        context: the same as for :func:`seal_with_passphrase`.

    Raises:
        DecryptionError: The passphrase is wrong, the cost is out of range, or ``sealed`` was
            changed.
    """
    log2_n = sealed[0] if sealed else 0
    if not 1 <= log2_n <= MAX_SCRYPT_LOG2_N:
        raise DecryptionError(f"its scrypt cost n = 2^{log2_n} is out of range")
    salt, box = sealed[1 : 1 + SCRYPT_SALT_BYTES], sealed[1 + SCRYPT_SALT_BYTES :]
    try:
        return AESGCM(derive_scrypt_key(passphrase, salt, log2_n)).decrypt(bytes(12), box, context)
    except InvalidTag:
        raise DecryptionError("the passphrase is wrong, or its head was changed") from None


def seal_to_key(recipient: bytes, secret: bytes, context: bytes) -> bytes:
    """Encrypt a secret to a public key.

    Args:
        recipient: X25519 public key [32].
        secret: the bytes to encrypt.
        context: associated data; :func:`open_with_key` needs the same.
    """
    return _HPKE.encrypt(secret, X25519PublicKey.from_public_bytes(recipient), info=context)


def open_with_key(private: bytes, sealed: bytes, context: bytes) -> bytes:
    """Decrypt what :func:`seal_to_key` returned.

    Args:
        private: X25519 private key [32].
        sealed: the encrypted secret; its sender is not trusted.
        context: the same as for :func:`seal_to_key`.

    Raises:
        DecryptionError: The key is another, or ``sealed`` was changed.
    """
    try:
        return _HPKE.decrypt(sealed, X25519PrivateKey.from_private_bytes(private), info=context)
    except (InvalidTag, ValueError):
        raise DecryptionError("it is for another key, or its head was changed") from None


def generate_x25519_key() -> bytes:
    """Return a new X25519 private key [32]."""
    return X25519PrivateKey.generate().private_bytes_raw()


def derive_public_key(private: bytes) -> bytes:
    """Return the X25519 public key [32] of a private key [32]."""
    return X25519PrivateKey.from_private_bytes(private).public_key().public_bytes_raw()
