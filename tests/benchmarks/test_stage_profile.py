"""Processor time is told apart by stage."""

from __future__ import annotations

import sys
from types import ModuleType

import pytest

from benchmarks import stage_profile
from benchmarks.stage_profile import (
    REST_STAGE,
    STAGES,
    START_STAGE,
    ThreadClock,
    add_stages,
    wrap_stages,
)


@pytest.fixture
def clock(monkeypatch) -> ThreadClock:
    """A clock whose seconds pass only where a function says so."""
    now = [0.0]
    monkeypatch.setattr(stage_profile.time, "thread_time", lambda: now[0])
    made = ThreadClock()
    made.now = now  # type: ignore[attr-defined]
    return made


def test_functions_inside_count_for_their_own_stage(clock) -> None:
    def inside() -> None:
        clock.now[0] += 2

    def outside() -> None:
        clock.now[0] += 3
        wrapped()

    wrapped = clock.wrap(inside, "inside")
    clock.wrap(outside, "outside")()
    assert clock.seconds == {"inside": 2, "outside": 3}


def test_generators_count_while_they_run(clock) -> None:
    def count():
        for number in range(3):
            clock.now[0] += 1
            yield number

    for _ in clock.wrap(count, "items")():
        clock.now[0] += 10  # the consumer's time
    assert clock.seconds == {"items": 3}


def test_functions_are_replaced_wherever_they_were_imported_to(clock, monkeypatch) -> None:
    here, there = ModuleType("fake_here"), ModuleType("fake_there")
    here.work = there.work = lambda: "done"  # type: ignore[attr-defined]
    for module in (here, there):
        monkeypatch.setitem(sys.modules, module.__name__, module)
    wrap_stages(clock, {"stage": ("fake_here:work",)})
    assert here.work is there.work
    assert there.work() == "done"
    assert set(clock.seconds) == {"stage"}


@pytest.mark.slow
def test_every_stage_names_functions_that_exist() -> None:
    wrapped = []

    class Recorder(ThreadClock):
        def wrap(self, function, stage):
            wrapped.append(function)
            return function

    wrap_stages(Recorder())
    assert len(wrapped) == sum(len(places) for places in STAGES.values())


def test_stages_add_up_to_the_whole() -> None:
    sums = add_stages({"network": 3, "encoding": 1}, {"encoding": 4}, imports=2, total=12)
    assert next(iter(sums)) == START_STAGE
    assert (sums["encoding"], sums["network"], sums[REST_STAGE]) == (5, 3, 2)
    assert sum(sums.values()) == 12
