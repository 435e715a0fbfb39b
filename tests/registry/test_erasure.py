"""Deletions: the key goes first, a receipt and tombstones remain, imports are refused."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from dubfew.errors import (
    ActorNotFoundError,
    DubfewError,
    KeyMissingError,
    RegistryError,
    TombstoneError,
)
from dubfew.registry import Registry, shredding, tombstones
from dubfew.utils.files import sha256_file
from tests.registry.traces import ACTOR, SECRET, find_traces

pytestmark = pytest.mark.slow

FILES = {"texture.safetensors": SECRET * 5000, "style.safetensors": b""}


@pytest.fixture
def filled(registry: Registry) -> Registry:
    registry.create("other", {}, FILES | {"own": b"1"})
    for number in range(2):
        registry.create(ACTOR, {"method": "lora", "number": number, "name": ACTOR}, FILES)
    return registry


def test_the_key_goes_first(filled: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    """If a step after the key fails, nothing can be read any more."""
    revision = filled.open(ACTOR)

    def fail(*_: object) -> None:
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr("dubfew.registry.storage.remove_folder", fail)
        patch.setattr("dubfew.registry.index.RegistryIndex.add_tombstones", fail)
        with pytest.raises(OSError, match="Input/output"):
            filled.delete(ACTOR)
    assert [*filled.home.glob("actors/*/2/texture.safetensors")]
    with pytest.raises((ActorNotFoundError, KeyMissingError)):
        revision.read("texture.safetensors")
    assert [each.actor for each in filled.list()] == ["other"]  # the deletion goes on
    assert find_traces(ACTOR, filled.home) == []


def test_reading_while_the_key_is_overwritten_reports_a_deletion(
    filled: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    revision, overwrite, heard = filled.open(ACTOR), shredding._overwrite, []
    name = revision.file_names()[0]
    key = revision._backend.keys._key_path(revision._row.folder).stat()

    def reads_on(handle: int) -> None:
        overwrite(handle)
        if not os.path.samestat(os.fstat(handle), key):
            return
        for do in (lambda: revision.read(name), lambda: revision.record_event("render")):
            with pytest.raises(RegistryError) as caught:
                do()
            heard.append(type(caught.value))

    monkeypatch.setattr(shredding, "_overwrite", reads_on)
    filled.delete(ACTOR)
    assert heard
    assert set(heard) == {ActorNotFoundError}


def test_a_backup_of_before_cannot_be_read_with_the_keys_of_after(
    filled: Registry, tmp_path: Path
) -> None:
    shutil.copytree(filled.home, tmp_path / "backup")
    filled.delete(ACTOR)
    backup = Registry(tmp_path / "backup", keys=filled.keys)
    assert backup.open("other").read("texture.safetensors") == SECRET * 5000
    for revision in backup.revisions(ACTOR):
        for name in revision.file_names():
            with pytest.raises(KeyMissingError):
                revision.read(name)
        with pytest.raises(KeyMissingError):
            _ = revision.config
    stored = b"".join(path.read_bytes() for path in filled.keys.rglob("*") if path.is_file())
    sealed = next((tmp_path / "backup").rglob("texture.safetensors")).read_bytes()
    assert SECRET not in sealed + stored


def test_the_receipt_names_the_files_and_not_the_actor(filled: Registry, tmp_path: Path) -> None:
    hashes = {
        (each.number, path.name): sha256_file(path)
        for each in filled.revisions(ACTOR)
        for path in filled.home.glob(f"actors/{each._row.folder}/{each.number}/*")
    }
    receipt = filled.delete(ACTOR, tmp_path / "out" / "receipt.json")
    copy = (tmp_path / "out" / "receipt.json").read_bytes()
    assert filled.receipt_file(receipt).read_bytes() == copy
    found = json.loads(copy)
    assert found["format"] == "dubfew-erasure-receipt"
    assert found["erased"].endswith("Z")
    assert hashes == {
        (revision["number"], file["name"]): file["sha256"]
        for revision in found["revisions"]
        for file in revision["files"]
    }
    assert len(hashes) == 6
    # Who knows the id can see that the receipt is theirs.
    assert found["actor_mark"] == tombstones.compute_actor_mark(ACTOR, found["actor_salt"])
    assert found["actor_mark"] != tombstones.compute_actor_mark("other", found["actor_salt"])
    assert find_traces(ACTOR, filled.home) == find_traces(ACTOR, tmp_path / "out") == []


def test_a_receipt_that_cannot_be_written_stops_the_deletion(
    filled: Registry, tmp_path: Path
) -> None:
    with pytest.raises(DubfewError, match="is a folder"):
        filled.delete(ACTOR, tmp_path)
    assert filled.open(ACTOR).read("texture.safetensors") == SECRET * 5000


def test_imports_of_deleted_actors_are_refused(filled: Registry, tmp_path: Path) -> None:
    content = {"method": "lora", "number": 1, "name": ACTOR}
    filled.delete(ACTOR)
    fresh = {"a": b"something else"}
    refused = [
        (ACTOR, {}, fresh),  # by id
        (ACTOR.upper(), {}, fresh),  # by an id that looks alike
        ("harmless", content, FILES),  # by content
    ]
    for actor, config, files in refused:
        with pytest.raises(TombstoneError, match="--allow-deleted") as caught:
            filled.restore(actor, config, files)
        assert "\n" not in str(caught.value)
    assert [each.actor for each in filled.list()] == ["other"]
    assert filled.restore("harmless", content, fresh).number == 1
    assert filled.restore(ACTOR, content, FILES, allow_deleted=True).number == 1


def test_creating_a_deleted_actor_lifts_the_tombstone_of_the_id(filled: Registry) -> None:
    old = {"method": "lora", "number": 1, "name": ACTOR}
    filled.delete(ACTOR)
    filled.create(ACTOR, {}, {"a": b"new footage"})
    # The tombstone of the id is lifted, that of the old content is not.
    assert filled.restore(ACTOR, {}, {"a": b"copy of the new"}).number == 2
    with pytest.raises(TombstoneError):
        filled.restore(ACTOR, old, FILES)
    filled.delete(ACTOR)
    with pytest.raises(TombstoneError):
        filled.restore(ACTOR, {}, {"a": b"any"})


def test_tombstones_do_not_hold_the_name(filled: Registry) -> None:
    filled.delete(ACTOR)
    identity = filled._index.load_registry_identity()
    assert identity is not None
    marks = filled._index.tombstones()
    assert len(marks) == 3  # the id, and two revisions
    assert tombstones.compute_actor_mark(ACTOR, identity.salt) in marks
    assert tombstones.compute_actor_mark(ACTOR, "another registry") not in marks


READER = """
import sys
from pathlib import Path
from dubfew.errors import ActorNotFoundError
from dubfew.registry import Registry
revision = Registry(Path(sys.argv[1])).open(sys.argv[2])
revision.check_exists()
assert revision.read("texture.safetensors")
print("opened", flush=True)
sys.stdin.readline()
failed = 0
for attempt in (
    revision.check_exists,
    lambda: revision.read("texture.safetensors"),
    lambda: revision.config,
):
    try:
        attempt()
    except ActorNotFoundError as error:
        failed += "deleted meanwhile" in str(error)
print(failed, flush=True)
"""


def test_another_process_with_an_open_revision_cannot_read_any_more(filled: Registry) -> None:
    reader = subprocess.Popen(
        [sys.executable, "-c", READER, str(filled.home), ACTOR],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert reader.stdout is not None
    assert reader.stdout.readline() == "opened\n"
    filled.delete(ACTOR)
    out, _ = reader.communicate("\n", timeout=300)
    assert out == "3\n"
    assert reader.returncode == 0
