"""Signing identities: the user's certificate, or one that dubfew creates on first use."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from dubfew.errors import DubfewError
from dubfew.utils.private_files import write_private_file

# Environment variables of the user's files: a chain, the signer's certificate first, and its
# private key.
SIGNING_CERTIFICATE_VARIABLE, SIGNING_KEY_VARIABLE = "DUBFEW_SIGN_CERT", "DUBFEW_SIGN_KEY"
# Environment variable of a time stamp authority after RFC 3161. Without it dubfew signs without the
# network.
TIMESTAMP_URL_VARIABLE = "DUBFEW_TIMESTAMP_URL"
# File in DUBFEW_HOME that holds key and chain in one.
SIGNING_FILE_NAME = "signing.pem"
# Validity of a self-signed certificate, years. Credentials without a time stamp become invalid when
# it expires, so it is long.
CERTIFICATE_VALIDITY_YEARS = 10
# Smallest RSA key that C2PA allows, bits.
MIN_RSA_KEY_BITS = 2048


@dataclass(frozen=True)
class SigningIdentity:
    """Certificate and key of a signer.

    Attributes:
        certificate_chain: certificates, the signer's first, PEM.
        private_key: private key, PKCS #8, PEM.
        algorithm: C2PA's name of the signature algorithm, such as "es256".
        timestamp_url: address of the authority that stamps signatures with the time, or None.
    """

    certificate_chain: bytes
    private_key: bytes
    algorithm: str
    timestamp_url: str | None = None


def load_signing_identity(home: Path) -> SigningIdentity:
    """Load the certificate and key to sign with, or create them on first use.

    For certificate and key the environment variables DUBFEW_SIGN_CERT and DUBFEW_SIGN_KEY come
    first, then the file ``signing.pem`` in the home folder. DUBFEW_TIMESTAMP_URL is the address of
    a time stamp authority.

    Args:
        home: the home folder. Without a file in it, one is created that only its owner may read.

    Raises:
        DubfewError: Certificate and key cannot be read, do not belong together, are not valid
            today, or are of a kind that C2PA does not allow; the authority is no web address.
    """
    return replace(_load_certificate_and_key(home), timestamp_url=_find_timestamp_url())


def _find_timestamp_url() -> str | None:
    """Return the address of the user's time stamp authority, if there is one."""
    url = os.environ.get(TIMESTAMP_URL_VARIABLE)
    if not url:
        return None
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise DubfewError(
            f"{TIMESTAMP_URL_VARIABLE} is {url!r:.80}: give the http or https address of a time "
            "stamp authority (RFC 3161)"
        )
    return url


def _load_certificate_and_key(home: Path) -> SigningIdentity:
    """Load the certificate and key of `load_signing_identity`."""
    certificate, key = (
        os.environ.get(SIGNING_CERTIFICATE_VARIABLE),
        os.environ.get(SIGNING_KEY_VARIABLE),
    )
    # A variable of the two alone is a mistake, which must not lead to another signer.
    if certificate or key:
        if not (certificate and key):
            raise DubfewError(
                f"only one of {SIGNING_CERTIFICATE_VARIABLE} and {SIGNING_KEY_VARIABLE} is set: "
                "set both, or neither"
            )
        return _identity_from_pem(_read_pem(Path(certificate)), _read_pem(Path(key)), certificate)
    path = home / SIGNING_FILE_NAME
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        write_private_file(path, _make_self_signed_pem())
    pem = _read_pem(path)
    return _identity_from_pem(pem, pem, str(path))


def _identity_from_pem(certificates: bytes, private: bytes, source: str) -> SigningIdentity:
    """Parse and check a chain and a private key; ``source`` names them in error messages."""
    try:
        chain = x509.load_pem_x509_certificates(certificates)
        key = serialization.load_pem_private_key(_first_pem_block(private, b"PRIVATE KEY"), None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise DubfewError(
            f"{source} cannot be signed with ({error}): give a PEM chain and its private key "
            "without a passphrase"
        ) from error
    # The signer's certificate must come first and belong to the key.
    raw = serialization.PublicFormat.SubjectPublicKeyInfo
    der = serialization.Encoding.DER
    if chain[0].public_key().public_bytes(der, raw) != key.public_key().public_bytes(der, raw):
        raise DubfewError(
            f"the first certificate of {source} is not that of the private key: put it first"
        )
    # Signatures of an expired certificate would be invalid from the start.
    now = datetime.now(timezone.utc)
    if not chain[0].not_valid_before_utc <= now <= chain[0].not_valid_after_utc:
        raise DubfewError(
            f"the certificate of {source} is valid from {chain[0].not_valid_before_utc:%Y-%m-%d} "
            f"to {chain[0].not_valid_after_utc:%Y-%m-%d}: renew it"
        )
    # Write both again, because the file may hold text or other blocks between them.
    pem = serialization.Encoding.PEM
    return SigningIdentity(
        b"".join(certificate.public_bytes(pem) for certificate in chain),
        key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()),
        _signature_algorithm(key, source),
    )


def _signature_algorithm(key: Any, source: str) -> str:
    """Return C2PA's name of the signature algorithm for a private key."""
    # The algorithms of C2PA's profile; curves and sizes outside of it are refused.
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return "ed25519"
    if isinstance(key, rsa.RSAPrivateKey) and key.key_size >= MIN_RSA_KEY_BITS:
        return "ps256"
    if isinstance(key, ec.EllipticCurvePrivateKey):
        known = {"secp256r1": "es256", "secp384r1": "es384", "secp521r1": "es512"}
        if key.curve.name in known:
            return known[key.curve.name]
    raise DubfewError(
        f"the key of {source} is of a kind that C2PA does not sign with: give one on P-256, "
        "P-384, P-521 or Ed25519, or RSA with 2048 bits or more"
    )


def _make_self_signed_pem() -> bytes:
    """Create a key and a chain of two certificates.

    There are two because C2PA's profile refuses certificates that sign themselves. The root's own
    key is discarded, so that nothing else can be signed in its name.

    Source: Coalition for Content Provenance and Authenticity 2025, C2PA Technical Specification
    2.2, sec. 14.5.1 (certificate profiles).
    """
    # The root may sign certificates only, the leaf may sign content only.
    root_key, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    root_name = _x509_name("dubfew, made by its user")
    root = (
        _certificate_builder(root_name, root_name, root_key.public_key())
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_key_usage(key_cert_sign=True, crl_sign=True), critical=True)
    )
    leaf = (
        _certificate_builder(_x509_name("dubfew (unverified)"), root_name, key.public_key())
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_key_usage(digital_signature=True), critical=True)
        .add_extension(
            x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION]), critical=False
        )
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(root_key.public_key()),
            critical=False,
        )
    )
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    ) + b"".join(_sign_certificate(certificate, root_key) for certificate in (leaf, root))


def _x509_name(common: str) -> Any:
    """Return a certificate's name; the organization says that it is self-signed."""
    return x509.Name(
        [
            x509.NameAttribute(NameOID.COMMON_NAME, common),
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "dubfew, self-signed"),
        ]
    )


def _certificate_builder(subject: Any, issuer: Any, key: ec.EllipticCurvePublicKey) -> Any:
    """Return a builder with the fields that both certificates share."""
    now = datetime.now(timezone.utc)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        # The clock of a machine that verifies may be a little behind.
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=365 * CERTIFICATE_VALIDITY_YEARS))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )


def _key_usage(**usages: bool) -> Any:
    """Return a key usage extension with the given usages and no others."""
    names = (
        "digital_signature content_commitment key_encipherment data_encipherment key_agreement "
        "key_cert_sign crl_sign encipher_only decipher_only"
    )
    return x509.KeyUsage(**{name: usages.get(name, False) for name in names.split()})


def _sign_certificate(certificate: Any, key: ec.EllipticCurvePrivateKey) -> bytes:
    """Sign a certificate and return it as PEM."""
    return certificate.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def _first_pem_block(pem: bytes, kind: bytes) -> bytes:
    """Return a file from its first PEM block of a kind on; there may be others before it."""
    end = pem.find(b"-----END", max(pem.find(kind), 0))
    return pem[pem.rfind(b"-----BEGIN", 0, end) :] if end >= 0 else pem


def _read_pem(path: Path) -> bytes:
    """Read a file; the error names the variables that may have named it."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise DubfewError(
            f"{path} cannot be read ({error.strerror}): name the file with "
            f"{SIGNING_CERTIFICATE_VARIABLE} and {SIGNING_KEY_VARIABLE}"
        ) from error
