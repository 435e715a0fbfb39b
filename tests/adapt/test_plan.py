"""Plans of adaptations: which part of the footage, and how much work."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

import pytest

from dubfew.adapt.plan import plan_adapt
from dubfew.errors import MediaError
from dubfew.registry import Registry

CLIP = Path(str(files("dubfew.demo") / "actor.mp4"))


@pytest.fixture
def registry(tmp_path) -> Registry:
    return Registry(tmp_path / "home")


def test_short_footage_is_used_as_a_whole(registry):
    found = plan_adapt(CLIP, registry=registry, actor="mary", steps=0)
    assert (found.actor, found.revision, found.part) == ("mary", 1, "all of it")
    assert found.part_seconds == found.footage_seconds == pytest.approx(7.44)
    assert dict(found.describe())["Training"] == "none"


def test_the_part_of_longer_footage(registry):
    best = plan_adapt(CLIP, registry=registry, seconds=2)
    assert best.part.startswith("the best 2.0 s of 7.4 s")
    asked = plan_adapt(CLIP, registry=registry, seconds=2, start=3)
    assert asked.part == "2.0 s from 3 s on"
    assert asked.part_seconds == best.part_seconds == 2
    assert best.seconds > asked.seconds  # it is scanned


def test_a_known_actor_gets_another_revision(registry):
    registry.create("mary", {}, {"x": b"x"})
    assert plan_adapt(CLIP, registry=registry, actor="mary").revision == 2


def test_training_takes_most_of_the_time(registry):
    seconds = [plan_adapt(CLIP, registry=registry, steps=steps).seconds for steps in (0, 100)]
    assert seconds[1] - seconds[0] == pytest.approx(80)


def test_footage_that_is_not_there_is_an_error(registry):
    with pytest.raises(MediaError, match=r"none\.mp4"):
        plan_adapt("none.mp4", registry=registry)
