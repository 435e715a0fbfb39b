"""``verify`` finds every fault and no other; ``prune`` removes revisions."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from dubfew.errors import ActorNotFoundError, RegistryError
from dubfew.registry import Registry
from tests.registry.traces import SECRET


@pytest.fixture
def filled(registry: Registry) -> Registry:
    for actor in ("mary", "john"):
        for number in range(3):
            registry.create(actor, {"number": number}, {"a": SECRET * 99, "b": b""})
    return registry


def folder_of(registry: Registry, actor: str) -> Path:
    return registry.home / "actors" / registry.open(actor)._row.folder


def key_of(registry: Registry, actor: str) -> Path:
    (path,) = registry.keys.rglob(f"{registry.open(actor)._row.folder}.key")
    return path


def sql(registry: Registry, statement: str) -> None:
    with sqlite3.connect(registry.home / "registry.sqlite") as db:
        db.execute("PRAGMA foreign_keys = OFF")
        db.execute(statement)
    db.close()


def swap(registry: Registry) -> None:
    one, two = (folder_of(registry, "mary") / number / "a" for number in ("1", "2"))
    content = one.read_bytes()
    one.write_bytes(two.read_bytes())
    two.write_bytes(content)


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


def test_a_sound_registry_is_sound(filled: Registry) -> None:
    found = filled.verify()
    assert found.ok
    assert found.recovered == ()
    assert (found.actors, found.revisions, found.files) == (2, 6, 18)
    paths = list(filled.home.glob("actors/*/*/*"))
    assert found.bytes == sum(path.stat().st_size for path in paths)


def test_a_missing_registry_is_sound_and_is_not_created(registry: Registry) -> None:
    assert registry.verify().ok
    assert not registry.home.exists()


FAULTS: dict[str, tuple[Callable[[Registry], object], str]] = {
    "file missing": (lambda r: (folder_of(r, "mary") / "2" / "a").unlink(), "'a' is missing"),
    "file changed": (lambda r: flip(folder_of(r, "mary") / "1" / "a"), "SHA-256"),
    "files swapped": (swap, "SHA-256"),
    "file too many": (
        lambda r: (folder_of(r, "mary") / "1" / "x").write_bytes(b""),
        "'x' is not in the index",
    ),
    "key missing": (lambda r: key_of(r, "mary").unlink(), "cannot be read"),
    "key damaged": (lambda r: flip(key_of(r, "mary")), "damaged"),
    "key of nobody": (
        lambda r: key_of(r, "mary").with_name("0123.key").write_bytes(b""),
        "the key 0123 belongs to nobody",
    ),
    "row without revisions": (
        lambda r: sql(r, "INSERT INTO actors (name, folder) VALUES ('mary2', 'f')"),
        "no revision",
    ),
    "size": (lambda r: sql(r, "UPDATE revisions SET bytes = 1 WHERE number = 1"), "size"),
    "hash": (
        lambda r: sql(r, "UPDATE files SET sha256 = '' WHERE name = 'a' AND revision_id = 1"),
        "SHA-256",
    ),
}


@pytest.mark.parametrize("name", FAULTS)
def test_every_fault_is_found(filled: Registry, name: str) -> None:
    damage, words = FAULTS[name]
    damage(filled)
    found = filled.verify()
    assert not found.ok
    assert any(words in fault.found for fault in found.faults)
    assert {fault.actor for fault in found.faults} <= {"mary", "mary2", "john", ""}
    assert all("\n" not in fault.found for fault in found.faults)


def test_a_wrong_key_is_detected_without_decrypting_all(filled: Registry) -> None:
    """The files are unchanged, but the key is another one."""
    first = filled.open("mary")
    keys = first._backend.keys
    keys.destroy_key(first._row.folder)
    keys.create_key(first._row.folder)
    found = [fault.found for fault in filled.verify().faults]
    assert len(found) == 9
    assert all("another key" in each for each in found)


def test_leftovers_are_removed_and_reported(filled: Registry) -> None:
    (filled.home / "staging" / "0123.1").mkdir(parents=True)
    (filled.home / "actors" / "4567" / "1").mkdir(parents=True)
    (folder_of(filled, "mary") / "9").mkdir()
    key = key_of(filled, "mary").with_name("0123.key")
    key.write_bytes(b"x" * 60)
    found = filled.verify()
    assert found.ok
    assert len(found.recovered) == 3
    assert not key.exists()
    assert filled.verify().recovered == ()
    assert filled.open("mary").read("a") == SECRET * 99


@pytest.mark.slow
def test_prune_keeps_the_newest(filled: Registry) -> None:
    old = filled.open("mary", 1)
    assert filled.prune("mary", 2) == [1]
    assert [each.number for each in filled.revisions("mary")] == [2, 3]
    assert sorted(path.name for path in folder_of(filled, "mary").iterdir()) == ["2", "3"]
    with pytest.raises(ActorNotFoundError):
        old.read("a")
    with pytest.raises(ActorNotFoundError, match="deleted meanwhile"):
        old.check_exists()
    assert filled.prune("mary", 2) == []
    assert filled.prune("mary", 1) == [2]
    assert filled.open("mary").read("a") == SECRET * 99
    assert filled.create("mary", {}, {}).number == 4
    assert [each.number for each in filled.revisions("john")] == [1, 2, 3]
    assert filled.verify().ok
    with pytest.raises(RegistryError, match="at least 1"):
        filled.prune("mary", 0)
    with pytest.raises(ActorNotFoundError):
        filled.prune("nobody", 1)
