"""How long `dubfew actors list` takes with many actors, and what else it costs to have many.

    python -m benchmarks.registry_list --actors 10000

The command runs in a process of its own, start of Python included, its output into a pipe.
"""

from __future__ import annotations

import argparse
import os
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from benchmarks.common import machine_line
from dubfew.registry import Registry

FILES = (
    "adapter_config.json",
    "adapter_model.safetensors",
    "config.json",
    "references.safetensors",
)
FILES += ("style.safetensors", "texture.safetensors", "track.safetensors")
RUNS = 9


def fill(home: Path, actors: int) -> Registry:
    """A registry of so many actors with two revisions and seven files each. The index is filled
    directly: writing and syncing the files takes an hour, and listing must not look at them."""
    registry = Registry(home)
    registry.create("first", {"method": "lora"}, {"texture.safetensors": b"content"})
    numbers = range(2, actors + 1)
    with closing(sqlite3.connect(home / "registry.sqlite")) as db, db:
        db.executemany(
            "INSERT INTO actors VALUES (?, ?, ?)",
            [(number, f"actor {number:05}", f"{number:032x}") for number in numbers],
        )
        db.executemany(
            "INSERT INTO revisions VALUES (?, ?, ?, '2026-11-21T12:00:00Z', 'lora', ?, ?, 'x')",
            [
                (2 * number + revision, number, revision, 21_000_000, 21_005_000)
                for number in numbers
                for revision in (1, 2)
            ],
        )
        db.executemany(
            "INSERT INTO files VALUES (?, ?, 3000000, ?)",
            [
                (2 * number + revision, name, "0" * 64)
                for number in numbers
                for revision in (1, 2)
                for name in FILES
            ],
        )
    return registry


def add_folders(home: Path, actors: int) -> None:
    """The folders of all revisions, empty: looking for leftovers costs the same."""
    for number in range(2, actors + 1):
        for revision in (1, 2):
            (home / "actors" / f"{number:032x}" / str(revision)).mkdir(parents=True)


def times(job: Callable[[], object], prepare: Callable[[], object] = lambda: None) -> str:
    """Shortest and median of some runs, s, after one that fills the system's caches.

    Args:
        prepare: done before every run, not counted.
    """
    prepare()
    job()
    walls, works = [], []
    for _ in range(RUNS):
        prepare()
        wall, before = time.perf_counter(), os.times()
        job()
        walls.append(time.perf_counter() - wall)
        works.append(sum(os.times()[:4]) - sum(before[:4]))
    return (
        f"{min(walls):.3f} s at best, {statistics.median(walls):.3f} s in the median; "
        f"of the processor {min(works):.2f} s"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--actors", type=int, default=10_000)
    options = parser.parse_args()
    print(machine_line())
    with tempfile.TemporaryDirectory() as folder:
        registry = fill(Path(folder) / "home", options.actors)
        assert len(registry.list()) == options.actors
        environment = {**os.environ, "DUBFEW_HOME": str(registry.home)}

        def command(*arguments: str) -> str:
            line = [sys.executable, "-m", "dubfew", *arguments]
            return subprocess.run(
                line, env=environment, stdout=subprocess.PIPE, check=True, text=True
            ).stdout

        assert command("actors", "list").count("\n") == options.actors + 1
        print(f"{options.actors} actors")
        print(f"dubfew actors list: {times(lambda: command('actors', 'list'))}")
        print(f"with --json:        {times(lambda: command('actors', 'list', '--json'))}")
        print(f"dubfew --help:      {times(lambda: command('--help'))}")
        print(f"Registry.list():    {times(registry.list)}")
        print(f"Registry.open():    {times(lambda: registry.open('first'))}")

        add_folders(registry.home, options.actors)
        content = {"texture.safetensors": bytes(1000)}
        names = iter(f"new {number}" for number in range(1000))

        def create() -> None:
            registry.create("newest", {}, content)

        print(f"a new actor:        {times(lambda: registry.create(next(names), {}, content))}")
        print(f"a new revision:     {times(create)}")
        print(f"Registry.delete():  {times(lambda: registry.delete('newest'), create)}")


if __name__ == "__main__":
    main()
