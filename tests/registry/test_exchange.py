"""Encrypted exports, push and pull."""

from __future__ import annotations

import importlib
import json
import os
import stat
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from dubfew.errors import (
    DecryptionError,
    KeyMissingError,
    MissingDependencyError,
    RegistryError,
    TombstoneError,
)
from dubfew.registry import Registry, create_identity_file, remote, sealing
from dubfew.registry import registry as exchange
from dubfew.registry.envelope import (
    DecryptionSecrets,
    decrypt_export,
    encrypt_export,
    is_encrypted_export,
)
from tests.registry.traces import ACTOR, SECRET

WORDS = "correct horse battery"
CONFIG = {"method": "texture", "seed": 3}
FILES = {"a.safetensors": SECRET * 3000, "b.safetensors": b""}


@pytest.fixture(autouse=True)
def _no_passphrase(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DUBFEW_PASSPHRASE", raising=False)


@pytest.fixture
def filled(registry: Registry) -> Registry:
    registry.create(ACTOR, CONFIG, FILES)
    return registry


@pytest.fixture
def other(tmp_path: Path) -> Registry:
    return Registry(tmp_path / "other")


def assert_arrived(registry: Registry, actor: str = ACTOR) -> None:
    revision = registry.open(actor)
    assert revision.config == CONFIG
    assert {name: revision.read(name) for name in revision.file_names()} == FILES


def test_to_a_passphrase(filled: Registry, other: Registry, tmp_path: Path) -> None:
    file = tmp_path / "x.dubfew"
    filled.export(ACTOR, file, passphrase=WORDS)
    data = file.read_bytes()
    assert SECRET not in data
    assert ACTOR.encode() not in data
    assert b"safetensors" not in data
    with pytest.raises(DecryptionError, match="passphrase is wrong"):
        other.import_file(file, passphrase=WORDS + "x")
    assert other.list() == []
    assert other.import_file(file, passphrase=WORDS).actor == ACTOR
    assert_arrived(other)


@pytest.mark.slow
def test_the_passphrase_comes_from_the_environment(
    filled: Registry, other: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "x.dubfew"
    for attempt in (lambda: filled.export(ACTOR, file), lambda: filled.push(ACTOR, file.as_uri())):
        with pytest.raises(KeyMissingError, match="DUBFEW_PASSPHRASE"):
            attempt()
        with monkeypatch.context() as patch:
            patch.setenv("DUBFEW_PASSPHRASE", "short")
            with pytest.raises(KeyMissingError, match="at least 8"):
                attempt()
    assert not file.exists()
    monkeypatch.setenv("DUBFEW_PASSPHRASE", WORDS)
    filled.export(ACTOR, file)
    other.import_file(file)
    assert_arrived(other)
    monkeypatch.delenv("DUBFEW_PASSPHRASE")
    with pytest.raises(KeyMissingError, match="DUBFEW_PASSPHRASE"):
        other.import_file(file)


def test_to_a_key(filled: Registry, other: Registry, tmp_path: Path) -> None:
    public = create_identity_file(tmp_path / "mine")
    create_identity_file(tmp_path / "another")
    filled.export(ACTOR, tmp_path / "x.dubfew", recipient=public)
    data = (tmp_path / "x.dubfew").read_bytes()
    assert SECRET not in data
    with pytest.raises(DecryptionError, match="for another key"):
        other.import_file(tmp_path / "x.dubfew", identity=tmp_path / "another")
    with pytest.raises(KeyMissingError, match="--identity"):
        other.import_file(tmp_path / "x.dubfew", passphrase=WORDS)
    for file in (tmp_path / "x.dubfew", tmp_path, tmp_path / "none"):
        with pytest.raises(KeyMissingError, match="no private key"):
            other.import_file(tmp_path / "x.dubfew", identity=file)
    other.import_file(tmp_path / "x.dubfew", identity=tmp_path / "mine")
    assert_arrived(other)


def test_a_private_key_is_its_owners(tmp_path: Path) -> None:
    public = create_identity_file(tmp_path / "new" / "mine")
    found = json.loads((tmp_path / "new" / "mine").read_bytes())
    assert found["public"] == public
    assert len(public) == len("dubfew-key-") + 48
    if os.name != "nt":
        assert stat.S_IMODE((tmp_path / "new" / "mine").stat().st_mode) == 0o600
    with pytest.raises(RegistryError, match="there already"):
        create_identity_file(tmp_path / "new" / "mine")
    assert json.loads((tmp_path / "new" / "mine").read_bytes()) == found


def test_a_mistyped_key_is_detected(tmp_path: Path) -> None:
    public = create_identity_file(tmp_path / "mine")
    wrong = [public[:-1], public[1:], public + "A", "", "dubfew-key-", "dubfew-key-" + "ä" * 48]
    for place in range(len("dubfew-key-"), len(public)):
        changed = "A" if public[place] != "A" else "B"
        wrong.append(public[:place] + changed + public[place + 1 :])
    for each in wrong:
        with pytest.raises(RegistryError, match="not a public key"):
            encrypt_export(b"", "x", recipient=each)


def test_only_an_explicit_option_gives_a_plain_export(filled: Registry, tmp_path: Path) -> None:
    filled.export(ACTOR, tmp_path / "x.zip", plain=True)
    assert SECRET in (tmp_path / "x.zip").read_bytes()
    assert not is_encrypted_export((tmp_path / "x.zip").read_bytes())


@pytest.mark.slow
def test_tombstones_hold_off_imports(filled: Registry, tmp_path: Path) -> None:
    filled.export(ACTOR, tmp_path / "x.dubfew", passphrase=WORDS)
    filled.delete(ACTOR)
    for actor in (None, "harmless"):
        with pytest.raises(TombstoneError):
            filled.import_file(tmp_path / "x.dubfew", actor, passphrase=WORDS)
        with pytest.raises(TombstoneError):
            filled.pull((tmp_path / "x.dubfew").as_uri(), actor, passphrase=WORDS)
    assert filled.list() == []
    filled.import_file(tmp_path / "x.dubfew", passphrase=WORDS, allow_deleted=True)
    assert_arrived(filled)


def test_too_large_exports_are_not_read(
    filled: Registry, other: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    filled.export(ACTOR, tmp_path / "x.dubfew", passphrase=WORDS)
    monkeypatch.setattr(exchange, "MAX_EXPORT_BYTES", 1000)
    for attempt in (other.import_file, lambda file, **given: other.pull(file.as_uri(), **given)):
        with pytest.raises(RegistryError, match="larger than"):
            attempt(tmp_path / "x.dubfew", passphrase=WORDS)


def test_a_costly_passphrase_is_refused_before_it_costs() -> None:
    sealed = bytearray(sealing.seal_with_passphrase(b"words", b"secret", b""))
    sealed[0] = 40  # a terabyte of memory
    with pytest.raises(DecryptionError, match=r"2\^40"):
        sealing.open_with_passphrase(b"words", bytes(sealed), b"")


@pytest.fixture(scope="module")
def sealed() -> bytes:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sealing, "SCRYPT_LOG2_N", 4)
        return encrypt_export(b"PK archive " * 20, "x", secret=WORDS)


@settings(max_examples=400, deadline=None)
@given(
    changes=st.lists(st.tuples(st.integers(0, 500), st.integers(0, 255)), min_size=1, max_size=5),
    cut=st.integers(0, 600),
)
@example(changes=[(9, 2)], cut=600)
@example(changes=[(8, 2)], cut=600)
@example(changes=[(12, 20)], cut=600)  # a gibibyte for scrypt would be allowed
@pytest.mark.slow
def test_altered_envelopes_are_refused_or_unchanged_in_content(
    sealed: bytes, changes: list[tuple[int, int]], cut: int
) -> None:
    altered = bytearray(sealed)
    for place, value in changes:
        # Costs that others chose are obeyed up to 1 GiB; here only for what is cheap.
        altered[place % len(altered)] = min(value, 10) if place == 12 else value
    try:
        content = decrypt_export(bytes(altered[:cut]), "x", DecryptionSecrets(WORDS))
    except RegistryError:
        return
    assert content == b"PK archive " * 20


# --- places that fsspec knows


def round_trip(url: str, filled: Registry, other: Registry) -> bytes:
    assert filled.push(ACTOR, url, passphrase=WORDS).number == 1
    assert other.pull(url, passphrase=WORDS).number == 1
    assert_arrived(other)
    return remote.read_url(url, 1 << 30)


@pytest.mark.parametrize("kind", ["file", "memory", "path"])
def test_push_and_pull(filled: Registry, other: Registry, tmp_path: Path, kind: str) -> None:
    place = tmp_path / "ä b"
    place.mkdir()
    url = {
        "file": f"file://{place}/x.dubfew",
        "memory": f"memory://{uuid.uuid4()}/x.dubfew",
        "path": str(place / "x.dubfew"),
    }[kind]
    data = round_trip(url, filled, other)
    assert is_encrypted_export(data)
    assert SECRET not in data
    with pytest.raises(DecryptionError):
        other.pull(url, passphrase="not the right one")


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("file:///proc/none/x", "written to"),
        ("nonsense://x/y", "nonsense"),
        ("", "cannot be"),
        ("memory://", "cannot be"),
    ],
)
def test_a_bad_place_is_one_clear_line(
    filled: Registry, other: Registry, url: str, words: str
) -> None:
    with pytest.raises(RegistryError, match=words) as caught:
        filled.push(ACTOR, url, passphrase=WORDS)
    assert "\n" not in str(caught.value)
    with pytest.raises(RegistryError):
        other.pull(url, passphrase=WORDS)
    assert other.list() == []


def test_secrets_in_an_address_are_not_shown() -> None:
    assert remote.redact_url("https://me:word@host/x?signature=abc") == "https://host/x"
    with pytest.raises(RegistryError) as caught:
        remote.read_url("nonsense://me:word@host/x", 10)
    assert "word" not in str(caught.value)


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "s3fs", None)
    monkeypatch.setattr(importlib.import_module("fsspec.registry"), "_registry", {})
    with pytest.raises(MissingDependencyError, match=r"dubfew\[remote\]"):
        remote.read_url("s3://bucket/x", 10)


@pytest.fixture(scope="module")
def bucket() -> Iterator[str]:
    """A bucket on an S3-compatible server of this process."""
    pytest.importorskip("s3fs", reason="needs s3fs: pip install 'dubfew[remote]'")
    server_module = pytest.importorskip("moto.server", reason="needs moto, flask and flask-cors")
    with pytest.MonkeyPatch.context() as patch:
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            patch.setenv(name, "testing")
        patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        patch.setenv("AWS_CONFIG_FILE", os.devnull)
        patch.setenv("AWS_SHARED_CREDENTIALS_FILE", os.devnull)
        server = server_module.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
        server.start()
        try:
            host, port = server.get_host_and_port()
            patch.setenv("AWS_ENDPOINT_URL_S3", f"http://{host}:{port}")
            import s3fs

            s3fs.S3FileSystem.clear_instance_cache()
            s3fs.S3FileSystem().mkdir("bucket")
            yield "s3://bucket"
        finally:
            server.stop()


@pytest.mark.slow
def test_push_and_pull_with_a_real_server(filled: Registry, other: Registry, bucket: str) -> None:
    data = round_trip(f"{bucket}/actors/x.dubfew", filled, other)
    assert is_encrypted_export(data)
    assert SECRET not in data
    with pytest.raises(RegistryError, match="cannot be read"):
        other.pull(f"{bucket}/none", passphrase=WORDS)
    with pytest.raises(RegistryError, match="cannot be written"):
        filled.push(ACTOR, "s3://no-such-bucket/x", passphrase=WORDS)
