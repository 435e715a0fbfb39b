"""Opening a registry from before encryption encrypts it."""

from __future__ import annotations

import os
import shutil
import sqlite3
from pathlib import Path

import pytest

from dubfew.errors import RegistryError
from dubfew.registry import Registry, cipher, migration, shredding
from tests.lean import in_lean_process
from tests.registry.test_crash import killed_copies

# Written by dubfew as it was before: two revisions of "mary", one of "Zoë B".
PLAIN = Path(__file__).parent / "fixtures" / "plain_home"
NEEDLES = (b"first texture", b"second texture", b"Zoe's texture", b'"rank": 4')


@pytest.fixture
def plain(tmp_path: Path) -> Path:
    home = tmp_path / "home"
    shutil.copytree(PLAIN, home)
    return home


def stored_files(home: Path) -> list[Path]:
    return [path for path in home.glob("actors/**/*") if path.is_file()]


def files_in_plain_text(home: Path) -> list[Path]:
    files = [path for path in home.rglob("*") if path.is_file()]
    return [path for path in files if any(needle in path.read_bytes() for needle in NEEDLES)]


def assert_all_there(registry: Registry) -> None:
    assert [(each.actor, each.number) for each in registry.list()] == [("Zoë B", 1), ("mary", 2)]
    first = registry.open("mary", 1)
    assert first.config == {"method": "lora", "rank": 4}
    assert first.read("texture.safetensors") == b"mary's first texture " * 20
    assert first.read("style.safetensors") == b""
    assert registry.open("mary").read("texture.safetensors") == b"mary's second texture " * 20
    zoe = registry.open("Zoë B")
    assert zoe.read("texture.safetensors") == b"Zoe's texture " * 30
    assert (zoe.created[:4], zoe.method, zoe.content_bytes) == ("2026", "lora", 441)


def test_a_plain_registry_opens_and_is_encrypted(plain: Path) -> None:
    assert len(files_in_plain_text(plain)) == 4
    assert_all_there(Registry(plain))
    assert files_in_plain_text(plain) == []
    assert all(
        path.read_bytes().startswith(cipher.SEALED_FILE_MAGIC) for path in stored_files(plain)
    )
    assert not [path for path in stored_files(plain) if path.name.startswith(".")]
    verified = Registry(plain).verify()
    assert verified.ok
    assert (verified.actors, verified.revisions, verified.files) == (2, 3, 7)
    assert verified.bytes == sum(path.stat().st_size for path in stored_files(plain))
    assert Registry(plain).create("mary", {}, {}).number == 3
    Registry(plain).delete("mary")
    assert Registry(plain).verify().ok


def test_listing_is_enough(plain: Path) -> None:
    assert len(Registry(plain).list()) == 2
    assert files_in_plain_text(plain) == []


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@in_lean_process
@pytest.mark.slow
def test_killed_while_encrypting(plain: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    killable = {migration.__file__, shredding.__file__}
    monkeypatch.setattr("tests.registry.test_crash.SOURCES", killable)
    copies = killed_copies(plain, lambda registry: registry.list(), step=12)
    assert len(copies) > 20
    for copy in copies:
        assert_all_there(Registry(copy))
        assert files_in_plain_text(copy) == []
        assert Registry(copy).verify().ok


def test_earlier_damage_stays_and_is_reported(plain: Path) -> None:
    damaged, missing = sorted(
        path for path in stored_files(plain) if path.read_bytes().startswith(b"mary's")
    )
    damaged.write_bytes(b"garbage")
    missing.unlink()
    registry = Registry(plain)
    assert len(registry.list()) == 2
    for number in (1, 2):
        revision = registry.open("mary", number)
        assert "method" in revision.config
        with pytest.raises(RegistryError, match="again"):
            revision.read("texture.safetensors")
    found = [fault.found for fault in registry.verify().faults]
    assert len(found) == 2
    assert all("texture.safetensors" in each for each in found)


def test_a_deletion_that_an_older_dubfew_began_is_finished(plain: Path) -> None:
    with sqlite3.connect(plain / "registry.sqlite") as db:
        ((folder,),) = db.execute("SELECT folder FROM actors WHERE name = 'mary'").fetchall()
    db.close()
    (plain / "deletions").mkdir()
    (plain / "deletions" / folder).touch()
    registry = Registry(plain)
    assert [each.actor for each in registry.list()] == ["Zoë B"]
    assert registry.verify().ok
    assert not any((plain / "deletions").iterdir())
