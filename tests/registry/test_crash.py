"""A process that is killed between any two lines of the registry's code does no damage."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Collection
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from dubfew.registry import Registry, erasure, index, keys, revision, storage, store
from dubfew.utils import private_files
from tests.lean import in_lean_process
from tests.registry.traces import ACTOR, SECRET, find_traces

SOURCES = {
    module.__file__ for module in (erasure, index, keys, private_files, revision, storage, store)
}
KILLED = 9
# Lines of code from one moment of death to the next. Every line would take ten minutes;
# benchmarks/registry_crash.py kills for as long as one likes.
STEP = 6

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork"),
]


def run_and_die(
    job: Callable[[], object], lines: int, sources: Collection[str | None] = SOURCES
) -> bool:
    """Run a job in a child process that dies at a line of code, without any clean-up.

    Args:
        job: function to run.
        lines: number of the line, counted over all executed lines of ``sources``, before which
            the child dies.
        sources: files whose lines count.

    Returns:
        True if the child died, False if it finished first.
    """
    pid = os.fork()
    if pid == 0:
        left = lines

        def count(frame: FrameType, event: str, argument: Any) -> Any:
            nonlocal left
            if frame.f_code.co_filename not in sources:
                return None
            if event == "line":
                left -= 1
                if left == 0:
                    os._exit(KILLED)
            return count

        sys.settrace(count)
        job()
        os._exit(0)
    _, status = os.waitpid(pid, 0)
    code = os.waitstatus_to_exitcode(status)
    assert code in (0, KILLED)
    return code == KILLED


def killed_copies(home: Path, job: Callable[[Registry], object], step: int = 1) -> list[Path]:
    """Copy a home folder for every moment at which a job can be killed, and kill it there.

    Args:
        home: home folder before the job.
        job: function of a registry.
        step: number of lines of code from one moment to the next.
    """
    # Once in this process: every child would import what the job needs, and build its tables.
    job(Registry(_copy_home(home, "warm")))
    copies = []
    while True:
        copy = _copy_home(home, f"killed-{len(copies)}")
        died = run_and_die(lambda copy=copy: job(Registry(copy)), len(copies) * step + 1)
        copies.append(copy)
        if not died:
            return copies


def _copy_home(home: Path, name: str) -> Path:
    """Copy a home folder and its keys beside it."""
    copy = home.with_name(name)
    for suffix in ("", "-keys"):
        if (source := home.with_name(home.name + suffix)).exists():
            shutil.copytree(source, copy.with_name(copy.name + suffix))
    return copy


def assert_sound(registry: Registry) -> None:
    """Check that all revisions can be read and that the next write removes leftovers."""
    for newest in registry.list():
        for each in registry.revisions(newest.actor):
            assert each.config == {}
            assert each.read("a") == SECRET
    registry.create("next", {}, {"a": SECRET})
    folders = set(registry.home.glob("actors/*/*"))
    assert len(folders) == sum(len(registry.revisions(each.actor)) for each in registry.list())
    assert not list(registry.home.glob("staging/*"))
    assert not list(registry.home.glob("deletions/*"))
    log = registry.audit()
    assert log is not None
    assert log.verify().ok


@in_lean_process
def test_killed_while_storing(registry: Registry) -> None:
    registry.create("old", {}, {"a": SECRET})
    copies = killed_copies(registry.home, lambda it: it.create(ACTOR, {}, {"a": SECRET}), STEP)
    assert len(copies) > 20  # the tracer has seen the code
    stored = []
    for copy in copies:
        after = Registry(copy)
        stored.append(ACTOR in [each.actor for each in after.list()])
        assert_sound(after)
    assert stored == sorted(stored)  # not there until one moment, there from then on
    assert (stored[0], stored[-1]) == (False, True)


@in_lean_process
def test_killed_while_storing_the_very_first(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    for copy in killed_copies(home, lambda it: it.create(ACTOR, {}, {"a": SECRET}), STEP):
        assert_sound(Registry(copy))


@in_lean_process
def test_killed_while_deleting(registry: Registry) -> None:
    for actor in ("old", ACTOR, ACTOR):
        registry.create(actor, {}, {"a": SECRET if actor == ACTOR else b"other"})
    for copy in killed_copies(registry.home, lambda it: it.delete(ACTOR), STEP):
        after = Registry(copy)
        if ACTOR in [each.actor for each in after.list()]:  # finishes a begun deletion
            assert [each.read("a") for each in after.revisions(ACTOR)] == [SECRET, SECRET]
        else:
            assert find_traces(ACTOR, copy) == []
            assert [each.event for each in after.audit().iter_entries()].count("delete") == 1
        assert after.open("old").read("a") == b"other"
