"""The revision that is used where none is named, and actors under another id."""

from __future__ import annotations

import json
import shutil
import sqlite3
from pathlib import Path

import pytest

from dubfew.errors import ActorNotFoundError, RegistryError, TombstoneError
from dubfew.registry import Registry
from dubfew.registry.index import INDEX_MIGRATIONS
from dubfew.registry.listing import list_default_revisions
from dubfew.registry.receipt import ErasureReceipt
from tests.registry.test_governance import consent, logged_events
from tests.registry.test_migration import PLAIN
from tests.registry.traces import find_traces

FILES = {"a": b"content"}


def stored(registry: Registry, *, actor: str = "mary", revisions: int = 3) -> Registry:
    for number in range(revisions):
        registry.create(actor, {}, {"a": b"%d" % number})
    return registry


def used(registry: Registry) -> int:
    """The number that every way of asking agrees on."""
    numbers = {
        registry.open("mary").number,
        *(each.number for each in registry.list() if each.actor == "mary"),
        *(each.number for each in list_default_revisions(registry.home) if each.actor == "mary"),
    }
    assert len(numbers) == 1
    return numbers.pop()


@pytest.mark.slow
def test_the_newest_is_used_until_another_is_chosen(registry: Registry) -> None:
    stored(registry)
    assert used(registry) == 3
    assert registry.use_revision("mary", 1).read("a") == b"0"
    assert used(registry) == 1
    assert logged_events(registry)[-1] == ("use-revision", {"revision": 1})
    registry.create("mary", {}, FILES)
    assert used(registry) == 4
    registry.create("mary", {}, FILES, make_default=False)
    assert used(registry) == 4
    registry.use_revision("mary", 5)
    registry.create("mary", {}, FILES, make_default=False)
    assert used(registry) == 5


def test_a_first_revision_is_the_default_whatever_is_said(registry: Registry) -> None:
    registry.create("mary", {}, FILES, make_default=False)
    assert used(registry) == 1
    registry.create("mary", {}, FILES)
    assert used(registry) == 2


def test_unknown_revisions_are_not_chosen(registry: Registry) -> None:
    with pytest.raises(ActorNotFoundError, match="no actor 'mary'"):
        registry.use_revision("mary", 1)
    stored(registry, revisions=2)
    with pytest.raises(ActorNotFoundError, match="no revision 3, only 1, 2"):
        registry.use_revision("mary", 3)
    assert used(registry) == 2


@pytest.mark.slow
def test_the_default_is_not_pruned(registry: Registry) -> None:
    stored(registry, revisions=4)
    registry.use_revision("mary", 2)
    assert registry.prune("mary", 1) == [1, 3]
    assert [each.number for each in registry.revisions("mary")] == [2, 4]
    assert used(registry) == 2


def test_a_consent_goes_on_the_revision_that_is_used(registry: Registry) -> None:
    stored(registry)
    registry.use_revision("mary", 1)
    record = consent()
    attached = registry.attach_consent("mary", record)
    assert (attached.number, attached.read("a"), used(registry)) == (4, b"0", 4)


@pytest.mark.slow
def test_a_consent_binds_one_person(registry: Registry) -> None:
    first, second = consent(), consent(basis="contract")
    entry = {"consent": first.to_config_entry()}
    registry.create("mary", {}, FILES)
    registry.create("mary", entry, FILES)
    registry.create("mary", {}, FILES, new_person=True, overrides=["new-person"])
    registry.create("mary", {}, FILES)
    bound = [registry.consent("mary", number) for number in (1, 2, 3, 4)]
    assert bound == [first, first, None, None]
    assert registry.consent("mary") is None
    assert logged_events(registry)[-2][1]["overrides"] == ["new-person"]
    # Back to the first person: who is learned from then on is compared with them.
    registry.use_revision("mary", 1)
    registry.create("mary", {}, FILES)
    assert registry.consent("mary") == first
    registry.create("mary", {"consent": second.to_config_entry()}, FILES)
    assert [registry.consent("mary", number) for number in (1, 3)] == [second, None]


def test_an_index_of_before_has_the_newest_as_default(tmp_path: Path) -> None:
    home = tmp_path / "home"
    shutil.copytree(PLAIN, home)
    assert used(Registry(home)) == 2
    Registry(home).use_revision("mary", 1)
    assert used(Registry(home)) == 1
    with sqlite3.connect(home / "registry.sqlite") as db:
        assert db.execute("PRAGMA user_version").fetchone() == (len(INDEX_MIGRATIONS),)


@pytest.mark.slow
def test_a_renamed_actor_keeps_everything_else(registry: Registry) -> None:
    record = consent()
    stored(registry)
    registry.attach_consent("mary", record)
    registry.use_revision("mary", 2)
    registry.suspend("mary", "because")
    folder, number = registry.open("mary")._row.folder, registry.rename("mary", "Anna").number
    with pytest.raises(ActorNotFoundError):
        registry.open("mary")
    anna = registry.open("Anna")
    assert (anna._row.folder, anna.number, number, anna.read("a")) == (folder, 2, 2, b"1")
    assert registry.open("Anna", 4).consent.sha256 == record.sha256
    assert registry.suspension(anna).reason == "because"
    assert logged_events(registry)[-1] == ("rename", {"overrides": []})
    assert [*registry.pseudonyms().values()] == ["Anna"]
    assert registry.verify().ok


def test_the_old_id_is_in_no_file_and_free_again(registry: Registry) -> None:
    stored(registry, actor="a-former-name")
    registry.rename("a-former-name", "Anna")
    assert find_traces("a-former-name", registry.home) == []
    assert registry.create("a-former-name", {}, FILES).number == 1


@pytest.mark.slow
def test_a_deletion_bars_former_ids_too(registry: Registry) -> None:
    stored(registry)
    registry.rename("mary", "anna")
    registry.rename("anna", "zoe")
    receipt = registry.delete("zoe")
    for actor in ("mary", "anna", "zoe"):
        with pytest.raises(TombstoneError):
            registry.restore(actor, {}, {"a": b"something else"})
    registry.restore("someone", {}, {"a": b"something else"})
    kept = registry.receipt_file(receipt).read_bytes()
    assert ErasureReceipt.from_bytes(kept, "it") == receipt
    assert len(receipt.former_marks) == 2
    # One from before actors could be renamed.
    old = {key: value for key, value in json.loads(kept).items() if key != "former_marks"}
    assert ErasureReceipt.from_bytes(json.dumps(old).encode(), "it").former_marks == ()


@pytest.mark.parametrize(
    ("new", "wrong"),
    [("john", "exists"), ("mary", "exists"), ("J\u043ehn", "looks like"), ("a/b", "path")],
)
def test_ids_that_cannot_be_taken(registry: Registry, new: str, wrong: str) -> None:
    stored(registry)
    registry.create("john", {}, FILES)
    with pytest.raises(RegistryError, match=wrong):
        registry.rename("mary", new)
    assert used(registry) == 3


def test_another_spelling_of_the_own_id(registry: Registry) -> None:
    stored(registry)
    assert registry.rename("mary", "Mary").actor == "Mary"


def test_the_id_of_a_deleted_actor_is_taken_knowingly(registry: Registry) -> None:
    stored(registry)
    registry.create("john", {}, FILES)
    registry.delete("john")
    with pytest.raises(TombstoneError, match="--allow-deleted"):
        registry.rename("mary", "john")
    registry.rename("mary", "john", allow_deleted=True)
    assert logged_events(registry)[-1] == ("rename", {"overrides": ["allow-deleted"]})
