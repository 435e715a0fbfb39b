"""The key store and key wrapping."""

from __future__ import annotations

import json
import os
import shutil
import stat
import sys
from collections.abc import Iterator
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest
from platformdirs import user_data_dir

from dubfew.errors import DecryptionError, KeyMissingError, MissingDependencyError, RegistryError
from dubfew.registry import Registry, keys, wrapping
from dubfew.utils import passphrase
from tests.registry.traces import SECRET

WORDS = "correct horse battery"


@pytest.fixture(autouse=True)
def _fresh(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Forget unlocked keys, as in a new process."""
    for name in ("DUBFEW_KEYS", "DUBFEW_PASSPHRASE"):
        monkeypatch.delenv(name, raising=False)
    keys._unwrap_master_key.cache_clear()
    yield
    keys._unwrap_master_key.cache_clear()


def key_files(registry: Registry) -> list[Path]:
    return sorted(registry.keys.rglob("*.key"))


def master_file_of(registry: Registry) -> Path:
    (path,) = registry.keys.rglob("master.json")
    return path


def test_each_actor_has_an_own_key_beside_the_data(registry: Registry) -> None:
    for actor in ("mary", "john", "mary"):
        registry.create(actor, {}, {"a": SECRET})
    assert registry.keys == registry.home.with_name("home-keys")
    first, second = (path.read_bytes() for path in key_files(registry))
    assert first != second
    assert not [*registry.home.rglob("*.key"), *registry.home.rglob("master*")]
    folders = {path.name for path in registry.home.glob("actors/*")}
    assert {path.stem for path in key_files(registry)} == folders


@pytest.mark.skipif(os.name == "nt", reason="POSIX permissions")
def test_keys_are_their_owners_only(registry: Registry) -> None:
    registry.create("mary", {}, {"a": SECRET})
    found = list(registry.keys.rglob("*"))
    assert {stat.S_IMODE(path.stat().st_mode) for path in found if path.is_file()} == {0o600}
    assert {stat.S_IMODE(path.stat().st_mode) for path in found if path.is_dir()} == {0o700}


def test_nothing_that_was_stored_lies_there_in_the_clear(registry: Registry) -> None:
    registry.create("mary", {"note": SECRET.decode()}, {"a": SECRET, "b": SECRET * 9999})
    for folder in (registry.home, registry.keys):
        files = [path for path in folder.rglob("*") if path.is_file()]
        assert files
        assert not any(SECRET in path.read_bytes() for path in files)


def test_where_the_keys_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DUBFEW_KEYS", str(tmp_path / "k"))
    for home in ("one", "two"):
        Registry(tmp_path / home).create("mary", {}, {"a": home.encode()})
    assert Registry(tmp_path / "one").open("mary").read("a") == b"one"
    assert len(list((tmp_path / "k").iterdir())) == 2  # a folder for each registry
    assert Registry(tmp_path / "one").verify().ok
    monkeypatch.delenv("DUBFEW_KEYS")
    monkeypatch.setenv("HOME", str(tmp_path))
    default = Path(user_data_dir("dubfew", appauthor=False))
    assert Registry(default).keys.name == "dubfew-keys"
    assert not Registry(default).keys.is_relative_to(default)
    with pytest.raises(RegistryError, match="inside the data"):
        Registry(tmp_path, keys=tmp_path / "keys")


def test_a_missing_key_is_one_clear_line(registry: Registry) -> None:
    for actor in ("mary", "john"):
        registry.create(actor, {}, {"a": SECRET})
    revision = registry.open("mary")
    (registry.keys / revision._backend.keys.folder.name / f"{revision._row.folder}.key").unlink()
    with pytest.raises(KeyMissingError, match=r"cannot be read.*DUBFEW_KEYS") as caught:
        registry.open("mary").read("a")
    assert "\n" not in str(caught.value)
    assert registry.open("john").read("a") == SECRET
    assert [each.actor for each in registry.list()] == ["john", "mary"]
    with pytest.raises(KeyMissingError):
        registry.create("mary", {}, {"a": SECRET})
    registry.delete("mary")
    assert registry.verify().ok


@pytest.mark.parametrize("content", [b"", b"short", b"x" * 60])
def test_a_damaged_key_is_one_clear_line(registry: Registry, content: bytes) -> None:
    revision = registry.create("mary", {}, {"a": SECRET})
    (path,) = key_files(registry)
    path.write_bytes(content)
    with pytest.raises(DecryptionError, match="damaged") as caught:
        revision.read("a")
    assert "\n" not in str(caught.value)


def test_keys_of_two_actors_cannot_be_swapped(registry: Registry) -> None:
    for actor in ("mary", "john"):
        registry.create(actor, {}, {"a": SECRET})
    one, two = key_files(registry)
    content = one.read_bytes()
    one.write_bytes(two.read_bytes())
    two.write_bytes(content)
    with pytest.raises(DecryptionError):
        registry.open("mary").read("a")


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[]",
        "{",
        "[" * 100_000,
        '{"format_version": 1}',
        '{"format_version": "1", "wrapping": "file", "master": ""}',
        '{"format_version": 1, "wrapping": "file", "master": ""}',
        '{"format_version": 1, "wrapping": "file", "master": "%"}',
        '{"format_version": 1, "wrapping": [], "master": ""}',
        '{"format_version": 1, "wrapping": "magic", "master": ""}',
        '{"format_version": 9, "wrapping": "file", "master": ""}',
    ],
)
def test_a_damaged_master_key_is_one_clear_line(registry: Registry, content: str) -> None:
    revision = registry.create("mary", {}, {"a": SECRET})
    master_file_of(registry).write_text(content)
    with pytest.raises(RegistryError) as caught:
        revision.read("a")
    assert "\n" not in str(caught.value)
    assert len(registry.list()) == 1


@pytest.mark.slow
def test_a_passphrase(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    registry.create("mary", {}, {"a": SECRET})
    plain = json.loads(master_file_of(registry).read_bytes())["master"]
    monkeypatch.setenv("DUBFEW_PASSPHRASE", WORDS)
    registry.rewrap("passphrase")
    assert registry.wrapping() == "passphrase"
    assert plain not in master_file_of(registry).read_text()
    assert registry.open("mary").read("a") == SECRET
    registry.create("john", {}, {"a": SECRET})

    keys._unwrap_master_key.cache_clear()
    monkeypatch.setenv("DUBFEW_PASSPHRASE", WORDS + "x")
    with pytest.raises(DecryptionError, match="passphrase is wrong"):
        registry.open("john").read("a")
    with pytest.raises(DecryptionError, match="passphrase is wrong"):
        registry.create("anna", {}, {})
    with pytest.raises(DecryptionError, match="passphrase is wrong"):
        registry.check_create("anna")
    with pytest.raises(DecryptionError, match="passphrase is wrong"):
        registry.rewrap("file")
    monkeypatch.delenv("DUBFEW_PASSPHRASE")
    with pytest.raises(KeyMissingError, match="set DUBFEW_PASSPHRASE"):
        registry.open("john").read("a")
    # Neither listing nor erasing needs it.
    registry.delete("john")
    assert [each.actor for each in registry.list()] == ["mary"]

    monkeypatch.setenv("DUBFEW_PASSPHRASE", WORDS)
    registry.rewrap("file")
    monkeypatch.delenv("DUBFEW_PASSPHRASE")
    assert registry.open("mary").read("a") == SECRET


def test_both_unicode_forms_of_a_passphrase_are_one(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DUBFEW_PASSPHRASE", "Zoe\u0308 sings well")
    registry.rewrap("passphrase")
    registry.create("mary", {}, {"a": SECRET})
    keys._unwrap_master_key.cache_clear()
    monkeypatch.setenv("DUBFEW_PASSPHRASE", "Zo\u00eb sings well")
    assert registry.open("mary").read("a") == SECRET


def test_short_passphrases_are_refused(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DUBFEW_PASSPHRASE", "seven77")
    with pytest.raises(KeyMissingError, match="at least 8"):
        registry.rewrap("passphrase")
    assert registry.wrapping() == "file"


def test_the_passphrase_comes_from_the_terminal(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def ask(purpose: str, new: bool) -> str:
        asked.append((purpose, new))
        return WORDS

    monkeypatch.setattr(passphrase, "_prompt", ask)
    registry.rewrap("passphrase")
    registry.create("mary", {}, {"a": SECRET})
    assert registry.open("mary").read("a") == SECRET
    assert asked == [("the actors' keys", True), ("the actors' keys", False)]


@pytest.mark.slow
def test_a_keyring(registry: Registry) -> None:
    keyring = pytest.importorskip("keyring")
    backend = pytest.importorskip("keyring.backend")

    class Memory(backend.KeyringBackend):
        priority = 1

        def __init__(self) -> None:
            self.kept: dict[tuple[str, str], str] = {}

        def get_password(self, service: str, username: str) -> str | None:
            return self.kept.get((service, username))

        def set_password(self, service: str, username: str, password: str) -> None:
            self.kept[service, username] = password

    before = keyring.get_keyring()
    keyring.set_keyring(memory := Memory())
    try:
        registry.rewrap("keyring")
        registry.create("mary", {}, {"a": SECRET})
        keys._unwrap_master_key.cache_clear()
        assert registry.open("mary").read("a") == SECRET
        ((service, name),) = memory.kept
        assert (service, name) == ("dubfew", master_file_of(registry).parent.name)
        keys._unwrap_master_key.cache_clear()
        memory.kept.clear()
        with pytest.raises(KeyMissingError, match="keyring has no key"):
            registry.open("mary").read("a")
    finally:
        keyring.set_keyring(before)


def test_a_missing_keyring_is_one_clear_error(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    keyring = pytest.importorskip("keyring")
    fail = pytest.importorskip("keyring.backends.fail")
    before = keyring.get_keyring()
    keyring.set_keyring(fail.Keyring())
    try:
        with pytest.raises(KeyMissingError, match="keyring cannot be used"):
            registry.rewrap("keyring")
    finally:
        keyring.set_keyring(before)
    monkeypatch.setitem(sys.modules, "keyring", None)
    with pytest.raises(MissingDependencyError, match=r"dubfew\[keyring\]"):
        registry.rewrap("keyring")


class Service:
    """A stand-in for a key management service that another package adds."""

    broken = False

    def wrap(self, key: bytes, store: str) -> bytes:
        return store.encode() + key[::-1]

    def unwrap(self, wrapped: bytes, store: str) -> bytes:
        if Service.broken:
            raise ConnectionError("no route\nto host")
        return wrapped[len(store) :][::-1]


def test_an_entry_point_adds_a_way(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    entry = EntryPoint("vault", f"{__name__}:Service", wrapping.ENTRY_POINT_GROUP)
    monkeypatch.setattr(EntryPoint, "load", lambda self: Service)
    monkeypatch.setattr(wrapping, "entry_points", lambda group: [entry])
    registry.rewrap("vault")
    registry.create("mary", {}, {"a": SECRET})
    keys._unwrap_master_key.cache_clear()
    assert registry.open("mary").read("a") == SECRET
    keys._unwrap_master_key.cache_clear()
    monkeypatch.setattr(Service, "broken", True)
    with pytest.raises(DecryptionError, match=r"ConnectionError no route to host") as caught:
        registry.open("mary").read("a")
    assert "\n" not in str(caught.value)
    monkeypatch.setattr(Service, "broken", False)
    with pytest.raises(RegistryError, match="only file, passphrase, keyring, vault"):
        registry.rewrap("magic")


def test_the_old_master_key_is_overwritten(registry: Registry) -> None:
    registry.create("mary", {}, {"a": SECRET})
    path = master_file_of(registry)
    with open(path, "rb") as old:  # the same blocks of the disk, after the file has no name
        before = old.read()
        registry.rewrap("file")
        old.seek(0)
        after = old.read()
    assert len(after) == len(before)
    assert after != before
    assert b"master" not in after


def test_a_destroyed_key_is_overwritten(registry: Registry) -> None:
    registry.create("mary", {}, {"a": SECRET})
    (path,) = key_files(registry)
    with open(path, "rb") as old:
        before = old.read()
        registry.delete("mary")
        old.seek(0)
        assert old.read() != before
    assert not path.exists()


def test_data_without_keys_cannot_be_read(registry: Registry, tmp_path: Path) -> None:
    registry.create("mary", {}, {"a": SECRET})
    shutil.copytree(registry.home, tmp_path / "stolen")
    stolen = Registry(tmp_path / "stolen")
    with pytest.raises(KeyMissingError):
        stolen.open("mary").read("a")
