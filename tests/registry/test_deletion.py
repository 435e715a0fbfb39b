"""After a deletion no byte of the actor is left under the home folder."""

from __future__ import annotations

import sqlite3

import pytest

from dubfew.errors import ActorNotFoundError, RegistryError
from dubfew.registry import Registry, index
from tests.registry.traces import ACTOR, SECRET, find_traces

pytestmark = pytest.mark.slow


def fill(registry: Registry) -> None:
    registry.create("before", {}, {"a": b"1"})
    for _ in range(3):
        registry.create(ACTOR, {"method": "lora", "name": ACTOR}, {"a": SECRET, "b": SECRET * 999})
    for number in range(30):  # pages split and move
        registry.create(f"after {number}", {}, {"a": b"1"})


def test_no_byte_of_the_actor_remains(registry: Registry) -> None:
    fill(registry)
    assert find_traces(ACTOR, registry.home)  # the search can find it
    folders = {path.parent for path in registry.home.glob("actors/*/3")}
    registry.delete(ACTOR)
    assert find_traces(ACTOR, registry.home) == []
    assert folders
    assert not any(folder.exists() for folder in folders)
    assert len(registry.list()) == 31
    assert registry.open("after 29").read("a") == b"1"
    with pytest.raises(ActorNotFoundError):
        registry.open(ACTOR)


def test_nothing_remains_while_another_connection_is_open(registry: Registry) -> None:
    """An open connection keeps the write-ahead log alive, so it must be emptied."""
    registry.create("before", {}, {"a": b"1"})
    with sqlite3.connect(registry.home / "registry.sqlite") as idle:
        assert idle.execute("SELECT count(*) FROM actors").fetchone() == (1,)
        fill(registry)
        assert (registry.home / "registry.sqlite-wal").stat().st_size > 0
        registry.delete(ACTOR)
        assert find_traces(ACTOR, registry.home) == []
    idle.close()


def test_a_reader_in_the_way_is_named_and_the_next_call_finishes(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(index, "BUSY_SECONDS", 0.1)
    fill(registry)
    reader = sqlite3.connect(registry.home / "registry.sqlite", isolation_level=None)
    reader.execute("BEGIN")
    reader.execute("SELECT count(*) FROM actors").fetchone()
    with pytest.raises(RegistryError, match="next dubfew command finishes"):
        registry.delete(ACTOR)
    reader.close()
    assert ACTOR not in [revision.actor for revision in registry.list()]
    assert find_traces(ACTOR, registry.home) == []


def test_leftovers_of_a_killed_write_go_with_the_actor(registry: Registry) -> None:
    registry.create(ACTOR, {}, {"a": SECRET})
    leftover = registry.home / "staging" / "0123"
    leftover.mkdir(parents=True)
    (leftover / "a").write_bytes(SECRET)
    registry.delete(ACTOR)
    assert find_traces(ACTOR, registry.home) == []


def test_a_deleted_actor_can_be_created_again(registry: Registry) -> None:
    fill(registry)
    registry.delete(ACTOR)
    assert registry.create(ACTOR, {}, {"a": b"new"}).number == 1
    assert registry.open(ACTOR).read("a") == b"new"
