"""Suspension, consent, and the entries of the audit log."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

import pytest

from dubfew.errors import (
    ActorNotFoundError,
    AuditError,
    ConsentError,
    RegistryError,
    SuspendedError,
)
from dubfew.registry import Registry
from dubfew.registry.audit import AuditEntry
from dubfew.registry.consent import ConsentRecord
from dubfew.registry.policy import RenderPurpose
from dubfew.registry.pseudonyms import derive_pseudonym
from tests.consents import filled_consent
from tests.registry.traces import ACTOR, SECRET, find_traces

FILES = {"a": SECRET}
PURPOSE = RenderPurpose("dubbing", "de")


def consent(**changes: object) -> ConsentRecord:
    record = filled_consent(**changes)
    return ConsentRecord.from_record({k: v for k, v in record.items() if k != "projects"}, "test")


def entries(registry: Registry) -> list[AuditEntry]:
    log = registry.audit()
    assert log is not None
    assert log.verify().ok
    return [each for each in log.iter_entries() if isinstance(each, AuditEntry)]


def logged_events(registry: Registry) -> list[tuple[str, dict[str, object]]]:
    """Return events and fields of the log, without the actors' pseudonyms."""
    return [
        (each.event, {k: v for k, v in each.fields.items() if k != "actor"})
        for each in entries(registry)
    ]


@pytest.fixture
def stored(registry: Registry) -> Registry:
    registry.create(ACTOR, {"consent": consent().to_config_entry()}, FILES)
    return registry


@pytest.mark.slow
def test_every_action_is_logged(stored: Registry, tmp_path: Path) -> None:
    stored.create(ACTOR, {}, FILES)
    stored.open(ACTOR).record_event("render", output_sha256="0" * 64, watermark="77")
    stored.export(ACTOR, tmp_path / "x", 1, plain=True)
    stored.suspend(ACTOR, "because")
    stored.resume(ACTOR)
    stored.prune(ACTOR, 1)
    stored.attach_consent(ACTOR, consent(basis="contract"))
    receipt = stored.delete(ACTOR)
    stored.import_file(tmp_path / "x", "other", allow_deleted=True)
    exported = hashlib.sha256((tmp_path / "x").read_bytes()).hexdigest()
    kept = hashlib.sha256(stored.receipt_file(receipt).read_bytes()).hexdigest()
    first, other = consent().sha256, consent(basis="contract").sha256
    assert logged_events(stored) == [
        ("adapt", {"revision": 1, "consent_sha256": first}),
        ("adapt", {"revision": 2, "consent_sha256": None}),
        ("render", {"revision": 2, "output_sha256": "0" * 64, "watermark": "77"}),
        ("export", {"revision": 1, "file_sha256": exported, "encrypted_to": "none"}),
        ("suspend", {}),
        ("resume", {}),
        ("prune", {"revisions": [1]}),
        ("consent", {"revision": 3, "consent_sha256": other}),
        ("delete", {"receipt_sha256": kept}),
        (
            "import",
            {
                "revision": 1,
                "consent_sha256": first,
                "file_sha256": exported,
                "overrides": ["allow-deleted"],
            },
        ),
    ]
    who = [each.fields["actor"] for each in entries(stored)]
    assert len(set(who)) == 2  # one until the deletion, another from then on
    assert who[:9] == [who[0]] * 9


def test_pseudonyms_lead_to_the_living_only(stored: Registry) -> None:
    stored.create("other", {}, FILES)
    names = stored.pseudonyms()
    assert sorted(names.values()) == sorted([ACTOR, "other"])
    assert [names[each.fields["actor"]] for each in entries(stored)] == [ACTOR, "other"]
    stored.delete(ACTOR)
    names = stored.pseudonyms()
    assert [names.get(each.fields["actor"]) for each in entries(stored)] == [None, "other", None]
    assert find_traces(ACTOR, stored.home) == []
    # Not from anything that is left: neither the folder's name nor the receipt gives it.
    left = b"".join(path.read_bytes() for path in stored.home.glob("receipts/*"))
    assert entries(stored)[0].fields["actor"].encode() not in left


def test_a_pseudonym_is_of_the_key_alone() -> None:
    assert derive_pseudonym(b"k" * 32) == derive_pseudonym(b"k" * 32) != derive_pseudonym(b"l" * 32)
    assert len(derive_pseudonym(b"k" * 32)) == 32


def test_the_log_holds_no_name_path_or_reason(stored: Registry, tmp_path: Path) -> None:
    stored.suspend(ACTOR, "the-reason")
    stored.resume(ACTOR)
    stored.export(ACTOR, tmp_path / "the-file", plain=True)
    stored.import_file(tmp_path / "the-file", "the-copy")
    log = stored.audit().path.read_text()
    for text in (ACTOR, "the-reason", "the-file", "the-copy", str(tmp_path), "rights"):
        assert text not in log


def test_suspended_actors_are_neither_rendered_nor_exported(
    stored: Registry, tmp_path: Path
) -> None:
    assert stored.check_render(stored.open(ACTOR), PURPOSE).endswith("not said: --territory")
    stored.suspend(ACTOR, "a letter came")
    stored.create(ACTOR, {}, FILES)  # survives revisions
    for number in (1, 2):
        with pytest.raises(SuspendedError, match="a letter came"):
            stored.check_render(stored.open(ACTOR, number), PURPOSE)
    with pytest.raises(SuspendedError):
        stored.export(ACTOR, tmp_path / "x", plain=True)
    with pytest.raises(SuspendedError):
        stored.push(ACTOR, f"file://{tmp_path}/x", passphrase="correct horse")
    assert not (tmp_path / "x").exists()
    assert stored.suspension(Registry(stored.home).open(ACTOR)).reason == "a letter came"
    stored.suspend(ACTOR)  # again, otherwise
    assert stored.suspension(stored.open(ACTOR)).reason == ""
    stored.resume(ACTOR)
    assert stored.suspension(stored.open(ACTOR)) is None
    stored.check_render(stored.open(ACTOR, 1), PURPOSE)
    with pytest.raises(RegistryError, match="not suspended"):
        stored.resume(ACTOR)


def test_the_reason_is_encrypted_and_goes_with_the_actor(stored: Registry) -> None:
    stored.suspend(ACTOR, "a-very-private-reason")
    files = [path for path in stored.home.rglob("*") if path.is_file()]
    assert not any(b"a-very-private-reason" in path.read_bytes() for path in files)
    stored.delete(ACTOR)
    stored.create(ACTOR, {}, FILES)
    assert stored.suspension(stored.open(ACTOR)) is None


def test_unknown_actors_and_long_reasons_are_refused(stored: Registry) -> None:
    for act in (stored.suspend, stored.resume, Registry(stored.home / "none").suspend):
        with pytest.raises(ActorNotFoundError):
            act("nobody")
    for reason in ("x" * 201, "two\nlines"):
        with pytest.raises(RegistryError, match="one line"):
            stored.suspend(ACTOR, reason)
    assert not (stored.home / "none").exists()


def test_the_policy_of_the_home_holds(stored: Registry) -> None:
    stored.create("bare", {}, FILES)
    assert stored.check_learning("new", None) == "no consent of 'new' was recorded"
    assert "no consent" in stored.check_render(stored.open("bare"), PURPOSE)
    (stored.home / "policy.json").write_text('{"require_consent": true}')
    with pytest.raises(ConsentError):
        stored.check_learning("new", None)
    with pytest.raises(ConsentError):
        stored.check_render(stored.open("bare"), PURPOSE)
    with pytest.raises(ConsentError, match="--territory"):
        stored.check_render(stored.open(ACTOR), PURPOSE)
    assert stored.check_render(stored.open(ACTOR), RenderPurpose("dubbing", "de", "AT")) == ""


def test_attaching_consent_keeps_the_content(stored: Registry) -> None:
    new = consent(uses=["trailer"])
    revision = stored.attach_consent(ACTOR, new)
    assert (revision.number, revision.consent, revision.read("a")) == (2, new, SECRET)
    assert stored.open(ACTOR, 1).consent == consent()
    # The new record binds the old revision, too, and a revision without one.
    stored.create(ACTOR, {}, FILES)
    for number in (1, 2, 3):
        with pytest.raises(ConsentError, match="does not cover the use 'dubbing', only trailer"):
            stored.check_render(stored.open(ACTOR, number), PURPOSE)
    assert stored.consent(ACTOR) == new
    with pytest.raises(ConsentError, match="minor"):
        stored.attach_consent(ACTOR, consent(minor=True))


def test_consent_of_an_older_dubfew_is_not_a_record(registry: Registry) -> None:
    registry.create("old", {"consent": {"until": "2030-01-01"}}, FILES)
    with pytest.raises(ConsentError, match="consent attach"):
        registry.check_render(registry.open("old"), PURPOSE)
    registry.attach_consent("old", consent())
    registry.check_render(registry.open("old"), PURPOSE)
    assert logged_events(registry)[0] == ("adapt", {"revision": 1, "consent_sha256": None})


@pytest.mark.slow
def test_an_action_that_cannot_be_logged_is_not_done(stored: Registry, tmp_path: Path) -> None:
    stored.export(ACTOR, tmp_path / "x", plain=True)
    before = stored.audit().path.read_bytes()
    stored.audit().path.write_bytes(b"damaged" + before)
    refused = [
        lambda: stored.create(ACTOR, {}, FILES),
        lambda: stored.create("new", {}, FILES),
        lambda: stored.import_file(tmp_path / "x", "copy"),
        lambda: stored.export(ACTOR, tmp_path / "y", plain=True),
        lambda: stored.suspend(ACTOR),
        lambda: stored.prune(ACTOR, 1),
        lambda: stored.attach_consent(ACTOR, consent()),
    ]
    for act in refused:
        with pytest.raises(AuditError, match="audit restart"):
            act()
    assert not (tmp_path / "y").exists()
    assert [each.actor for each in stored.list()] == [ACTOR]
    assert [each.number for each in stored.revisions(ACTOR)] == [1]
    assert stored.suspension(stored.open(ACTOR)) is None
    assert stored.audit().restart() is not None
    stored.create("new", {}, FILES)
    assert stored.verify().ok
    assert len(list(stored.keys.rglob("*.key"))) == 2  # nobody's keys were swept away


def test_a_deletion_does_not_wait_for_a_log(stored: Registry) -> None:
    stored.audit().path.write_bytes(b"damaged")
    with pytest.warns(UserWarning, match="the deletion is not in the audit log"):
        receipt = stored.delete(ACTOR)
    assert stored.list() == []
    assert stored.receipt_file(receipt).exists()
    assert find_traces(ACTOR, stored.home) == []


def test_a_deletion_does_not_wait_for_a_key(stored: Registry) -> None:
    for path in stored.keys.rglob("*.key"):
        path.unlink()
    stored.delete(ACTOR)
    assert [each.fields["actor"] for each in entries(stored)][1:] == [None]


def test_a_log_put_back_from_a_backup_is_found(stored: Registry, tmp_path: Path) -> None:
    shutil.copytree(stored.home, tmp_path / "backup")
    for actor in ("other", "another"):
        stored.create(actor, {}, FILES)
    shutil.rmtree(stored.home)
    shutil.copytree(tmp_path / "backup", stored.home)
    log = stored.audit()
    assert log is not None
    assert not log.verify().ok


def test_an_older_registry_gets_its_log_when_something_is_done(registry: Registry) -> None:
    assert registry.audit() is None
    assert registry.pseudonyms() == {}
    assert registry.consent("nobody") is None
    assert not registry.home.exists()


def test_forged_hashes_of_consent_are_not_logged(registry: Registry) -> None:
    for number, kept in enumerate([{"sha256": "x" * 10_000}, {"sha256": ["a"]}, ["sha256"], "a"]):
        registry.create(f"actor {number}", {"consent": kept}, FILES)
    assert {json.dumps(fields) for _, fields in logged_events(registry)} == {
        '{"consent_sha256": null, "revision": 1}'
    }
