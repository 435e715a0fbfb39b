"""Time `dubfew actors list` and other operations of a registry with many actors.

    python -m benchmarks.registry_list --actors 10000

Commands run in their own process, start of Python included, with their output into a pipe.
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

# Names of the files of an actor that `adapt` stores.
FILES = (
    "adapter_config.json",
    "adapter_model.safetensors",
    "config.json",
    "references.safetensors",
    "style.safetensors",
    "texture.safetensors",
    "track.safetensors",
)
# Measured runs of each operation. The median of an odd number is one of them.
NUM_RUNS = 9


def fill(home: Path, actors: int) -> Registry:
    """Create a registry of actors with two revisions and seven files each.

    Only the index is filled: writing and syncing the files takes an hour, and listing must not
    need them.

    Args:
        home: home folder of the registry.
        actors: number of actors.
    """
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
    """Create the empty folders of all revisions: the search for leftovers takes as long with them.

    Args:
        home: home folder of the registry.
        actors: number of actors.
    """
    for number in range(2, actors + 1):
        for revision in (1, 2):
            (home / "actors" / f"{number:032x}" / str(revision)).mkdir(parents=True)


def describe_times(job: Callable[[], object], prepare: Callable[[], object] = lambda: None) -> str:
    """Describe the shortest and the median time of some runs, after one that fills the caches.

    Args:
        job: the operation.
        prepare: function that is called before every run and not timed.
    """
    prepare()
    job()
    walls, works = [], []
    for _ in range(NUM_RUNS):
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
        print(f"dubfew actors list: {describe_times(lambda: command('actors', 'list'))}")
        print(f"with --json:        {describe_times(lambda: command('actors', 'list', '--json'))}")
        print(f"dubfew --help:      {describe_times(lambda: command('--help'))}")
        print(f"Registry.list():    {describe_times(registry.list)}")
        print(f"Registry.open():    {describe_times(lambda: registry.open('first'))}")

        add_folders(registry.home, options.actors)
        content = {"texture.safetensors": bytes(1000)}
        names = iter(f"new {number}" for number in range(1000))

        def create() -> None:
            registry.create("newest", {}, content)

        def create_actor() -> None:
            registry.create(next(names), {}, content)

        print(f"a new actor:        {describe_times(create_actor)}")
        print(f"a new revision:     {describe_times(create)}")
        print(f"Registry.delete():  {describe_times(lambda: registry.delete('newest'), create)}")


if __name__ == "__main__":
    main()
