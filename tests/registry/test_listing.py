"""The fast list of the index equals the list of the registry."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from dubfew.errors import RegistryError
from dubfew.registry import Registry
from dubfew.registry.listing import list_default_revisions
from tests.registry.test_migration import PLAIN


def facts(found: list) -> list[tuple]:
    return [
        (each.actor, each.number, each.method, each.created, each.content_bytes, each.stored_bytes)
        for each in found
    ]


def test_both_lists_are_equal(registry: Registry) -> None:
    assert list_default_revisions(registry.home) == []
    assert not registry.home.exists()
    for actor in ("mary", "john", "mary"):
        registry.create(actor, {"method": "lora"}, {"a": b"content"})
    found = facts(list_default_revisions(registry.home))
    assert [each[:2] for each in found] == [("john", 1), ("mary", 2)]
    assert found == facts(registry.list())


def test_a_begun_deletion_is_finished(registry: Registry) -> None:
    for actor in ("mary", "john"):
        folder = registry.create(actor, {}, {"a": b"content"})._row.folder
    (registry.home / "deletions").mkdir()
    (registry.home / "deletions" / folder).touch()
    assert [each.actor for each in list_default_revisions(registry.home)] == ["mary"]
    assert not list((registry.home / "deletions").iterdir())


def test_a_plain_registry_is_encrypted(tmp_path: Path) -> None:
    home = tmp_path / "home"
    shutil.copytree(PLAIN, home)
    assert [each.actor for each in list_default_revisions(home)] == ["Zoë B", "mary"]
    assert facts(list_default_revisions(home)) == facts(Registry(home).list())


def test_keys_inside_the_data_are_refused(tmp_path: Path) -> None:
    with pytest.raises(RegistryError, match="DUBFEW_KEYS"):
        list_default_revisions(tmp_path, tmp_path / "keys")
