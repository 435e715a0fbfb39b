"""Several processes on one registry."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from dubfew.errors import RegistryError
from dubfew.registry import Registry, storage

pytestmark = pytest.mark.slow

WRITER = """
import sys
from pathlib import Path
from dubfew.registry import Registry, storage
storage.LOCK_SECONDS = 600  # on a slow disk the others' turns together take longer than a minute
registry = Registry(Path(sys.argv[1]))
for number in range(6):
    registry.create("shared", {}, {"a": sys.argv[2].encode() * 1000})
    registry.create(sys.argv[2], {}, {"a": b"own"})
    if number % 2:
        registry.delete(sys.argv[2])
    assert len(registry.list()) >= 1
"""


def test_writers_and_deleters_do_not_disturb_each_other(home: Path) -> None:
    processes = [
        subprocess.Popen([sys.executable, "-c", WRITER, str(home), f"writer-{number}"])
        for number in range(4)
    ]
    assert [process.wait(600) for process in processes] == [0] * 4
    registry = Registry(home)
    revisions = registry.revisions("shared")
    assert [each.number for each in revisions] == list(range(1, 25))
    contents = [each.read("a") for each in revisions]
    assert all(contents.count(f"writer-{number}".encode() * 1000) == 6 for number in range(4))
    assert [each.actor for each in registry.list()] == ["shared"]


HOLDER = """
import sys, time
from pathlib import Path
from dubfew.registry.storage import ActorStorage
with ActorStorage(Path(sys.argv[1])).lock():
    print("held", flush=True)
    time.sleep(600)
"""


def test_a_hanging_writer_is_named_and_a_killed_one_does_not_block(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(storage, "LOCK_SECONDS", 0.3)
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(home)], stdout=subprocess.PIPE, text=True
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    registry = Registry(home)
    with pytest.raises(RegistryError, match="another dubfew process"):
        registry.create("mary", {}, {})
    holder.kill()
    holder.wait()
    holder.stdout.close()
    assert registry.create("mary", {}, {}).number == 1  # the lock is free, or this fails at once
