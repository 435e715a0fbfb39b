"""A short secret sealed to a passphrase, or to the holder of a private key.

To a passphrase: ``log2 n [1] | salt [16] | AES-256-GCM(secret) | tag [16]`` under scrypt's key
(RFC 7914, r = 8, p = 1). The key is new with every salt, so the nonce may be zero. To a public
key: HPKE (RFC 9180) with X25519, HKDF-SHA256 and AES-256-GCM in base mode.
"""

from __future__ import annotations

import os

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from dubfew.errors import DecryptionError

# OWASP's first choice in 2023: 128 MiB and some tenths of a second for every guess.
SCRYPT_LOG2_N = 17
# What others sealed may be costlier, but must not take all memory: 2^20 is 1 GiB.
MAX_SCRYPT_LOG2_N = 20
SCRYPT_SALT_BYTES = 16

_HPKE = Suite(KEM.X25519, KDF.HKDF_SHA256, AEAD.AES_256_GCM)


def derive_scrypt_key(passphrase: bytes, salt: bytes, log2_n: int) -> bytes:
    """A key of 32 bytes, slow to compute."""
    return Scrypt(salt=salt, length=32, n=1 << log2_n, r=8, p=1).derive(passphrase)


def seal_with_passphrase(passphrase: bytes, secret: bytes, context: bytes) -> bytes:
    """``secret`` for whoever knows the passphrase and names the same ``context``."""
    salt = os.urandom(SCRYPT_SALT_BYTES)
    key = derive_scrypt_key(passphrase, salt, SCRYPT_LOG2_N)
    return bytes([SCRYPT_LOG2_N]) + salt + AESGCM(key).encrypt(bytes(12), secret, context)


def open_with_passphrase(passphrase: bytes, sealed: bytes, context: bytes) -> bytes:
    """What :func:`seal_with_passphrase` was given.

    Raises:
        DecryptionError: the passphrase is wrong, or ``sealed`` was changed.
    """
    log2_n = sealed[0] if sealed else 0
    if not 1 <= log2_n <= MAX_SCRYPT_LOG2_N:
        raise DecryptionError(f"it asks for scrypt with n = 2^{log2_n}, which nobody writes")
    salt, box = sealed[1 : 1 + SCRYPT_SALT_BYTES], sealed[1 + SCRYPT_SALT_BYTES :]
    try:
        return AESGCM(derive_scrypt_key(passphrase, salt, log2_n)).decrypt(bytes(12), box, context)
    except InvalidTag:
        raise DecryptionError("the passphrase is wrong, or its head was changed") from None


def seal_to_key(recipient: bytes, secret: bytes, context: bytes) -> bytes:
    """``secret`` for the holder of the private key to ``recipient``, an X25519 public key [32]."""
    return _HPKE.encrypt(secret, X25519PublicKey.from_public_bytes(recipient), info=context)


def open_with_key(private: bytes, sealed: bytes, context: bytes) -> bytes:
    """What :func:`seal_to_key` was given.

    Raises:
        DecryptionError: the key is another, or ``sealed`` was changed.
    """
    try:
        return _HPKE.decrypt(sealed, X25519PrivateKey.from_private_bytes(private), info=context)
    except (InvalidTag, ValueError):
        raise DecryptionError("it is for another key, or its head was changed") from None


def generate_x25519_key() -> bytes:
    """An X25519 private key [32]."""
    return X25519PrivateKey.generate().private_bytes_raw()


def derive_public_key(private: bytes) -> bytes:
    """The X25519 public key [32] that belongs to a private one [32]."""
    return X25519PrivateKey.from_private_bytes(private).public_key().public_bytes_raw()
