"""Machines without keys: actors lent to them, outputs signed and logged by the owner."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from dubfew.batch import run as batch_run
from dubfew.batch.lending import (
    ActorLender,
    provenance_from_json,
    provenance_to_json,
    unsigned_path,
)
from dubfew.batch.run import run_batch
from dubfew.batch.state import BatchState
from dubfew.batch.table import read_table
from dubfew.jobs.description import JobDescription
from dubfew.marks.credentials import RenderProvenance, read_credentials
from dubfew.registry import Registry
from dubfew.registry.guest import GuestRegistry
from tests.batch.lent_worker import LentWorker


@pytest.fixture
def mine(source: Path, tmp_path: Path) -> Registry:
    """A registry of one's own, whose actors can be suspended."""
    shutil.copytree(source / "home", tmp_path / "home")
    shutil.copytree(source / "home-keys", tmp_path / "private-keys")
    return Registry(tmp_path / "home", tmp_path / "private-keys")


@pytest.fixture(autouse=True)
def _lending(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch_run, "BatchWorker", LentWorker)
    monkeypatch.setattr(batch_run, "LENDING_ENGINES", ("local", "ray"))


def write_table(work: Path) -> None:
    (work / "jobs.csv").write_text("id,actor,video,audio,fit\na,mary,mary.mp4,dub.wav,trim\n")


def check_output(work: Path, registry: Registry) -> None:
    """The output is signed and logged by the owner, and nothing else is left."""
    out = work / "out" / "a.mp4"
    assert read_credentials(out) is not None
    log = registry.audit()
    assert log is not None
    last = [*log.iter_entries()][-2:]
    assert [entry.event for entry in last] == ["export", "render"]
    # The consent is the owner's: there is none, whatever the other machine says.
    assert last[1].fields["consent_sha256"] is None
    assert last[1].fields["watermark"] == "ab" * 9
    (row,), _ = read_table(work / "jobs.csv")
    record = BatchState(work / "out").read(row)
    assert record is not None
    assert record.state == "done"
    assert (record.result["output"], record.result["note"]) == ("a.mp4", "dim")
    assert "provenance" not in record.result
    assert not any(Path(each).exists() for each in record.result["seen"])
    assert not unsigned_path(out).exists()


@pytest.mark.slow
def test_a_process_without_keys_renders_and_the_owner_signs(work, mine):
    write_table(work)
    # What a killed command has left goes away.
    (work / "out").mkdir()
    left = unsigned_path(work / "out" / "a.mp4")
    left.write_bytes(b"half")
    result = run_batch(work / "jobs.csv", work / "out", jobs=1, registry=mine)
    assert result.failed == {}
    check_output(work, mine)


@pytest.mark.slow
def test_two_nodes_of_a_ray_cluster_see_no_keys(work, mine, monkeypatch):
    pytest.importorskip("ray")
    cluster_utils = pytest.importorskip("ray.cluster_utils")
    monkeypatch.setenv("RAY_worker_niceness", "0")
    write_table(work)
    nodes = {"num_cpus": 1, "include_dashboard": False}
    cluster = cluster_utils.Cluster(initialize_head=True, head_node_args=nodes)
    try:
        cluster.add_node(num_cpus=1)
        monkeypatch.setenv("RAY_ADDRESS", cluster.address)
        result = run_batch(work / "jobs.csv", work / "out", engine="ray", registry=mine)
    finally:
        cluster.shutdown()
    assert result.failed == {}
    check_output(work, mine)


def lender(work: Path, registry: Registry, **options: object) -> ActorLender:
    job = JobDescription(
        actor="mary", video=work / "mary.mp4", audio=work / "dub.wav", options=options
    )
    return ActorLender({"a": job}, registry)


def test_only_the_actors_of_the_batch_are_lent_and_only_while_they_may_be_rendered(
    work, mine, tmp_path
):
    lends = lender(work, mine)
    with GuestRegistry(tmp_path) as guest:
        key = guest.public_key
        assert len(lends.answer({"id": "a", "key": key})["actors"]) == 1
        assert "error" in lends.answer({"id": "b", "key": key})
        assert "public key" in lends.answer({"id": "a", "key": "dubfew-key-wrong"})["error"]
        mine.suspend("mary")
        assert "suspended" in lends.answer({"id": "a", "key": key})["error"]


def test_an_output_of_an_actor_who_was_suspended_meanwhile_is_removed(work, mine, tmp_path):
    lends, out = lender(work, mine), work / "a.mp4"
    with GuestRegistry(tmp_path) as guest:
        lends.answer({"id": "a", "key": guest.public_key})
    shutil.copy(work / "mary.mp4", unsigned_path(out))
    mine.suspend("mary")
    facts = RenderProvenance(work / "mary.mp4", None, "audio", "warp", "", None, None)
    with pytest.raises(batch_run.DubfewError, match="suspended"):
        lends.publish("a", out, {"provenance": provenance_to_json(facts)})
    assert not out.exists()
    assert not unsigned_path(out).exists()
    with pytest.raises(batch_run.DubfewError, match="cannot be published"):
        lends.publish("a", out, {})


def test_facts_come_back_as_they_were():
    other = RenderProvenance(Path("s.mov"), None, "motion", "p", "ff", "aa", "bb", Path("l.motion"))
    facts = RenderProvenance(
        Path("s.mov"), Path("a.wav"), "audio", "p", "", None, "cc", None, (other,)
    )
    assert provenance_from_json(provenance_to_json(facts)) == facts
    assert os.fspath(unsigned_path(Path("x/a.mov"))) == os.path.join("x", ".a.unsigned.mov")
