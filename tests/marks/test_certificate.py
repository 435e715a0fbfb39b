"""Signing identities: created once and private, or the user's own."""

from __future__ import annotations

import os
import stat
from datetime import datetime, timedelta, timezone

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from dubfew.errors import DubfewError
from dubfew.marks.certificate import (
    SIGNING_CERTIFICATE_VARIABLE,
    SIGNING_FILE_NAME,
    SIGNING_KEY_VARIABLE,
    load_signing_identity,
)

PEM = serialization.Encoding.PEM
UNUSED = (
    "content_commitment",
    "key_encipherment",
    "data_encipherment",
    "key_agreement",
    "crl_sign",
    "encipher_only",
    "decipher_only",
)


def private_key_pem(key, password: bytes | None = None) -> bytes:
    kind = (
        serialization.BestAvailableEncryption(password)
        if password
        else serialization.NoEncryption()
    )
    return key.private_bytes(PEM, serialization.PrivateFormat.PKCS8, kind)


def issue_certificate(key, days: int = 30, name: str = "Studio Example") -> tuple[bytes, bytes]:
    """Issue a certificate by a new authority; return both as PEM."""
    ca = ec.generate_private_key(ec.SECP256R1())
    now = datetime.now(timezone.utc)

    def build(subject: str, public, is_ca: bool) -> bytes:
        names = [
            x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text), *organisation])
            for text in (subject, "Example CA")
        ]
        usage = dict.fromkeys(UNUSED, False)
        builder = (
            x509.CertificateBuilder()
            .subject_name(names[0])
            .issuer_name(names[1])
            .public_key(public)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=60))
            .not_valid_after(now + timedelta(days=days))
            .add_extension(x509.BasicConstraints(is_ca, None), True)
            .add_extension(
                x509.KeyUsage(digital_signature=not is_ca, key_cert_sign=is_ca, **usage), True
            )
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(ca.public_key()), False
            )
        )
        if not is_ca:
            use = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION])
            builder = builder.add_extension(use, False)
        return builder.sign(ca, hashes.SHA256()).public_bytes(PEM)

    organisation = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Example")]
    return build(name, key.public_key(), False), build("Example CA", ca.public_key(), True)


def test_a_certificate_is_created_once(tmp_path) -> None:
    home = tmp_path / "home"
    first = load_signing_identity(home)
    assert first.algorithm == "es256"
    assert first.certificate_chain.count(b"BEGIN CERTIFICATE") == 2
    assert load_signing_identity(home) == first
    assert [path.name for path in home.iterdir()] == [SIGNING_FILE_NAME]
    if os.name != "nt":
        assert stat.S_IMODE((home / SIGNING_FILE_NAME).stat().st_mode) == 0o600
    leaf, root = x509.load_pem_x509_certificates(first.certificate_chain)
    leaf.verify_directly_issued_by(root)
    root.verify_directly_issued_by(root)


@pytest.mark.parametrize(
    ("make", "algorithm"),
    [
        (lambda: ec.generate_private_key(ec.SECP256R1()), "es256"),
        (lambda: ec.generate_private_key(ec.SECP384R1()), "es384"),
        (lambda: ed25519.Ed25519PrivateKey.generate(), "ed25519"),
        (lambda: rsa.generate_private_key(65537, 2048), "ps256"),
    ],
)
def test_the_users_own_is_used(tmp_path, monkeypatch, make, algorithm) -> None:
    key = make()
    leaf, root = issue_certificate(key)
    (tmp_path / "c.pem").write_bytes(leaf + root)
    (tmp_path / "k.pem").write_bytes(private_key_pem(key))
    monkeypatch.setenv(SIGNING_CERTIFICATE_VARIABLE, str(tmp_path / "c.pem"))
    monkeypatch.setenv(SIGNING_KEY_VARIABLE, str(tmp_path / "k.pem"))
    found = load_signing_identity(tmp_path / "home")
    assert (found.algorithm, found.certificate_chain) == (algorithm, leaf + root)
    assert not (tmp_path / "home").exists()
    monkeypatch.delenv(SIGNING_CERTIFICATE_VARIABLE)
    monkeypatch.delenv(SIGNING_KEY_VARIABLE)
    # Or in the file of the home folder, in whatever order.
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / SIGNING_FILE_NAME).write_bytes(leaf + private_key_pem(key) + root)
    assert load_signing_identity(tmp_path / "other") == found


def test_unusable_certificates_are_refused_at_once(tmp_path, monkeypatch) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    leaf, root = issue_certificate(key)
    other, _ = issue_certificate(ec.generate_private_key(ec.SECP256R1()))
    old, _ = issue_certificate(key, days=-1)
    odd = ec.generate_private_key(ec.SECP256K1())
    odd_leaf, _ = issue_certificate(odd)
    certificate, secret = tmp_path / "c.pem", tmp_path / "k.pem"
    monkeypatch.setenv(SIGNING_CERTIFICATE_VARIABLE, str(certificate))
    for chain, held, message in (
        (other + root, private_key_pem(key), "is not that of the private key"),
        (root + leaf, private_key_pem(key), "put it first"),
        (old, private_key_pem(key), "renew it"),
        (leaf, private_key_pem(key, b"secret"), "without a passphrase"),
        (b"", private_key_pem(key), "cannot be signed with"),
        (leaf, b"-----BEGIN", "cannot be signed with"),
        (odd_leaf, private_key_pem(odd), "P-256"),
    ):
        certificate.write_bytes(chain)
        secret.write_bytes(held)
        monkeypatch.delenv(SIGNING_KEY_VARIABLE, raising=False)
        with pytest.raises(DubfewError, match="only one of"):
            load_signing_identity(tmp_path)
        monkeypatch.setenv(SIGNING_KEY_VARIABLE, str(secret))
        with pytest.raises(DubfewError, match=message):
            load_signing_identity(tmp_path)
    monkeypatch.setenv(SIGNING_KEY_VARIABLE, str(tmp_path / "none.pem"))
    with pytest.raises(DubfewError, match="cannot be read"):
        load_signing_identity(tmp_path)
    assert not (tmp_path / SIGNING_FILE_NAME).exists()
