"""Storing and reading actors."""

from __future__ import annotations

import errno
import os
import sqlite3
import stat
from pathlib import Path
from typing import Any

import pytest

from dubfew.errors import ActorNotFoundError, RegistryError
from dubfew.registry import Registry, default_data_dir
from dubfew.registry.index import INDEX_MIGRATIONS, RegistryIndex
from dubfew.registry.storage import ActorStorage

CONFIG = {"method": "lora", "rank": 4, "fps": "30000/1001", "nested": {"list": [1, None, "ä"]}}
FILES = {"texture.safetensors": bytes(range(256)) * 5, "style.safetensors": b""}


def stored_files(home: Path) -> list[Path]:
    return [path for path in home.rglob("*") if path.is_file() and "actors" in path.parts]


def test_stored_actors_are_read_back(registry: Registry) -> None:
    created = registry.create("mary", CONFIG, FILES)
    opened = registry.open("mary")
    assert opened == created
    assert (opened.actor, opened.number, opened.method) == ("mary", 1, "lora")
    assert opened.config == CONFIG
    assert opened.file_names() == ["style.safetensors", "texture.safetensors"]
    assert {name: opened.read(name) for name in opened.file_names()} == FILES
    assert opened.stored_bytes == sum(path.stat().st_size for path in stored_files(registry.home))


def test_revisions_count_up_per_actor(registry: Registry) -> None:
    for content in (b"one", b"two"):
        registry.create("mary", CONFIG, {"a": content})
    registry.create("john", CONFIG, {"a": b"three"})
    assert registry.open("mary").number == 2
    assert registry.open("mary", 1).read("a") == b"one"
    assert [(each.actor, each.number) for each in registry.list()] == [("john", 1), ("mary", 2)]
    assert [each.number for each in registry.revisions("mary")] == [1, 2]


def test_errors_for_unknown_names_list_the_known_ones(registry: Registry) -> None:
    with pytest.raises(ActorNotFoundError, match="no actor 'mary'"):
        registry.open("mary")
    registry.create("mary", CONFIG, FILES)
    with pytest.raises(ActorNotFoundError, match="no revision 7, only 1"):
        registry.open("mary", 7)
    with pytest.raises(RegistryError, match=r"no file 'x'.*style\.safetensors"):
        registry.open("mary").read("x")
    with pytest.raises(RegistryError, match="no file"):
        registry.open("mary").read("../1/style.safetensors")


def test_reading_creates_nothing(registry: Registry) -> None:
    assert registry.list() == []
    with pytest.raises(ActorNotFoundError):
        registry.delete("mary")
    assert not registry.home.exists()
    registry.home.mkdir()
    assert registry.list() == []
    assert list(registry.home.iterdir()) == []


def test_both_unicode_forms_of_an_id_are_one_actor(registry: Registry) -> None:
    registry.create("Zoe\u0308", CONFIG, FILES)
    assert registry.open("Zo\u00eb").actor == "Zo\u00eb"
    registry.delete("Zoe\u0308")
    assert registry.list() == []


@pytest.mark.parametrize("damage", ["flip", "truncate", "remove"])
@pytest.mark.parametrize("name", ["texture.safetensors", "config.json"])
def test_damage_is_detected(registry: Registry, damage: str, name: str) -> None:
    registry.create("mary", CONFIG, FILES)
    (path,) = (each for each in stored_files(registry.home) if each.name == name)
    content = bytearray(path.read_bytes())
    content[0] ^= 1
    if damage == "remove":
        path.unlink()
    else:
        path.write_bytes(content if damage == "flip" else content[1:])
    revision = registry.open("mary")
    with pytest.raises(RegistryError, match=r"damaged.*again"):
        revision.config if name == "config.json" else revision.read(name)


def test_opened_before_deletion_fails_clearly_after_it(registry: Registry) -> None:
    revision = registry.create("mary", CONFIG, FILES)
    registry.delete("mary")
    with pytest.raises(RegistryError, match="deleted meanwhile"):
        revision.read("style.safetensors")


@pytest.mark.parametrize(
    ("config", "files", "message"),
    [
        ({"rate": float("nan")}, {}, "JSON"),
        ({"path": Path("x")}, {}, "JSON"),
        ({"method": 3}, {}, "method"),
        ({"method": "x\ny"}, {}, "method"),
        ({}, {"config.json": b""}, "kept for the config"),
        ({}, {"../x": b""}, "cannot name a stored file"),
        ({}, {"a": b"", "A": b""}, "twice"),
    ],
)
def test_invalid_content_is_refused_before_anything_is_written(
    registry: Registry, config: dict[str, object], files: dict[str, bytes], message: str
) -> None:
    with pytest.raises(RegistryError, match=message):
        registry.create("mary", config, files)
    assert not registry.home.exists()


def test_full_disk_leaves_the_registry_as_it_was(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry.create("mary", CONFIG, FILES)
    before = stored_files(registry.home)

    def full(handle: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr("dubfew.registry.storage.os.fsync", full)
        with pytest.raises(OSError, match="No space"):
            registry.create("mary", CONFIG, FILES)
    assert registry.open("mary").number == 1
    assert stored_files(registry.home) == before
    assert list(registry.home.glob("staging/*")) == []
    assert registry.create("mary", CONFIG, FILES).number == 2


def test_index_of_a_newer_dubfew_is_refused(registry: Registry) -> None:
    registry.create("mary", CONFIG, FILES)
    with sqlite3.connect(registry.home / "registry.sqlite") as db:
        db.execute(f"PRAGMA user_version = {len(INDEX_MIGRATIONS) + 1}")
    with pytest.raises(RegistryError, match="update dubfew"):
        registry.list()
    with pytest.raises(RegistryError, match="update dubfew"):
        registry.create("mary", CONFIG, FILES)


def test_broken_index_is_one_clear_error(registry: Registry) -> None:
    registry.create("mary", CONFIG, FILES)
    (registry.home / "registry.sqlite").write_bytes(b"not a database" * 100)
    with pytest.raises(RegistryError, match="cannot be used"):
        registry.list()


def test_home_comes_from_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DUBFEW_HOME", str(tmp_path / "ä b"))
    assert Registry().home == default_data_dir() == tmp_path / "ä b"
    Registry().create("mary", CONFIG, FILES)
    assert Registry(tmp_path / "ä b").open("mary").number == 1
    monkeypatch.delenv("DUBFEW_HOME")
    assert default_data_dir().name == "dubfew"


@pytest.mark.skipif(os.name == "nt", reason="POSIX permissions")
def test_other_users_of_the_machine_are_kept_out(registry: Registry) -> None:
    registry.create("mary", CONFIG, FILES)
    assert stat.S_IMODE(registry.home.stat().st_mode) == 0o700


def test_a_writer_sweeps_only_after_an_unfinished_one(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A search of all folders would make writes slower with every actor."""
    sweeps = []
    sweep = ActorStorage.sweep

    def counted(storage: ActorStorage, *given: Any) -> list[str]:
        sweeps.append(sweep(storage, *given))
        return sweeps[-1]

    monkeypatch.setattr(ActorStorage, "sweep", counted)
    registry.create("mary", {}, FILES)
    first = len(sweeps)
    for _ in range(3):
        registry.create("mary", {}, FILES)
    registry.prune("mary", 1)
    assert len(sweeps) == first
    with monkeypatch.context() as patch:
        patch.setattr(RegistryIndex, "insert", lambda *given, **named: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            registry.create("mary", {}, FILES)
    registry.create("mary", {}, FILES)
    assert len(sweeps) == first + 1
    assert sweeps[-1] != []  # the revision without a row
    registry.delete("mary")  # what lies about may be theirs
    assert len(sweeps) == first + 2
