"""A deletion, and what deletions that do not work would leave."""

from __future__ import annotations

from pathlib import Path

import pytest

from dubfew.errors import ActorNotFoundError, DubfewError, MediaError, SuspendedError
from dubfew.evaluate.leakage.leak_test import _delete_and_recover
from dubfew.evaluate.leakage.recovery import recover_actor
from dubfew.evaluate.leakage.subjects import (
    LeakSubject,
    collect_people_videos,
    collect_subjects,
    enroll_subjects,
    temporary_registry,
)
from dubfew.prior.checkpoint import Prior
from dubfew.progress import no_progress
from dubfew.registry import Registry
from dubfew.registry.keys import KeyStore
from tests.adapt.toys import make_toy_adapter, toy_prior, train_toy_adapter
from tests.data.people import toy_footage

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def prior() -> Prior:
    return toy_prior()


@pytest.fixture
def store(prior: Prior, tmp_path: Path) -> Registry:
    footage = toy_footage()
    adapter = make_toy_adapter(
        prior, footage, "texture", train_toy_adapter(prior, footage, "texture", 0)
    )
    registry = Registry(tmp_path / "home")
    for name in ("mary", "other"):
        config = {"method": "texture", "source": {"path": str(tmp_path / f"{name}.mp4")}}
        registry.create(name, config, adapter.to_files())
        (tmp_path / f"{name}.mp4").touch()
    return registry


MARY = LeakSubject("mary", Path("mary.mp4"))


@pytest.mark.slow
def test_after_a_deletion_nothing_opens(store: Registry, tmp_path: Path) -> None:
    assert recover_actor("mary", store).adapter is not None
    left = _delete_and_recover([MARY], store, tmp_path / "copy")["mary"]
    assert left["store"].refused == ("ActorNotFoundError",)
    assert left["copy"].refused == ("KeyMissingError",)
    assert (left["store"].num_files, left["copy"].num_files) == (0, 0)
    assert left["store"].adapter is left["copy"].adapter is None
    assert recover_actor("other", store).adapter is not None


@pytest.mark.slow
def test_a_key_that_stays_opens_the_copy(
    store: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(KeyStore, "destroy_key", lambda self, folder: None)
    left = _delete_and_recover([MARY], store, tmp_path / "copy")["mary"]
    assert (left["store"].num_files, left["store"].adapter) == (0, None)
    assert left["copy"].num_files == 6
    assert left["copy"].adapter is not None


def test_a_file_that_is_left_shows_though_it_is_no_actor(
    store: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Registry, "delete", lambda self, actor: None)
    next(store.home.glob("actors/*/1/texture.safetensors")).unlink()
    actor = next(name for name in ("mary", "other") if len(recover_actor(name, store).refused))
    left = _delete_and_recover([LeakSubject(actor, MARY.video)], store, tmp_path / "copy")[actor]
    assert left["store"].num_files == left["copy"].num_files == 5
    assert left["store"].adapter is None


@pytest.mark.slow
def test_the_users_actors_are_copied_and_stay(store: Registry) -> None:
    subjects = collect_subjects([], ["mary"], store)
    with temporary_registry() as (registry, copy):
        adapters = enroll_subjects(
            subjects, registry, steps=None, prior=None, device="cpu", seed=0, progress=no_progress
        )
        assert adapters["mary"].texture.shape == recover_actor("mary", store).adapter.texture.shape
        _delete_and_recover(subjects, registry, copy)
        home = registry.home
    assert not home.exists()
    log = store.audit()
    assert log is not None
    assert [entry.event for entry in log.iter_entries()][-1] == "leak-test"
    assert recover_actor("mary", store).adapter is not None


@pytest.mark.slow
def test_an_error_leaves_nothing_in_the_temporary_place(store: Registry) -> None:
    with pytest.raises(RuntimeError), temporary_registry() as (registry, _):  # noqa: PT012
        registry.create("a", {}, {"b": b"c"})
        home = registry.home
        raise RuntimeError
    assert not home.parent.exists()


def test_who_cannot_be_tested(store: Registry, tmp_path: Path) -> None:
    with pytest.raises(DubfewError, match="nobody to test"):
        collect_subjects([], [], store)
    with pytest.raises(ActorNotFoundError):
        collect_subjects([], ["nobody"], store)
    with pytest.raises(DubfewError, match="two are called 'mary'"):
        collect_subjects([tmp_path / "mary.mp4"], ["mary"], store)
    with pytest.raises(MediaError, match=r"none\.mp4 is not there: check the path"):
        collect_subjects([tmp_path / "none.mp4"], [], store)
    (tmp_path / "mary.mp4").unlink()
    with pytest.raises(MediaError, match="adapted from"):
        collect_subjects([], ["mary"], store)
    store.suspend("other", "dispute")
    with pytest.raises(SuspendedError):
        collect_subjects([], ["other"], store)


def test_a_crowd(tmp_path: Path) -> None:
    for name in ("mary.mp4", "ann.mp4", "bob.mov", "notes.txt", "cid.mkv"):
        (tmp_path / name).touch()
    mary = [LeakSubject("mary", tmp_path / "mary.mp4")]
    assert list(collect_people_videos(mary, [tmp_path])) == ["mary", "ann", "bob", "cid"]
    with pytest.raises(DubfewError, match="there are 1"):
        collect_people_videos(mary, [tmp_path / "ann.mp4"])
    with pytest.raises(DubfewError, match="two are called 'ann'"):
        collect_people_videos(mary, [tmp_path / "ann.mp4", tmp_path])
