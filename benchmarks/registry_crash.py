"""Kill a process that writes to a registry, again and again, and check the registry each time.

    python -m benchmarks.registry_crash --kills 200

A child process stores, deletes and prunes actors as fast as it can, and prints a line before and
after each operation. It is killed (SIGKILL) at a random moment. Then `Registry.verify` must find no
fault, every stored revision must be readable and unchanged, and of every deleted actor no byte of
the id may be left under the home folder. The interrupted operation may be done or not done, but
nothing in between.
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.common import machine_line
from dubfew.registry import Registry, tombstones

# Ids of the actors. Long enough that random bytes do not contain them by chance.
ACTORS = [f"Quetzalcoatl-{number}" for number in range(5)]
# Largest number of operations that a child finishes before it is killed. Operations are counted
# and not timed, so that a loaded machine is killed at the same moments as an idle one.
MAX_OPERATIONS = 6
# Longest delay of the kill after the last operation, as a multiple of that operation's duration.
MAX_DELAY_FACTOR = 1.5
# Cost of ids' marks, log2 of scrypt's n. With the real cost most kills would hit scrypt, which
# does not touch the disk.
CHEAP_SCRYPT_LOG2_N = 4


@dataclass
class CrashStatistics:
    """Counts over all kills.

    Attributes:
        kills: number of killed children.
        inside: number of kills in the middle of an operation.
        operations: finished operations by kind.
        recovered: number of leftovers that were removed.
        wrong: violations, one line each.
    """

    kills: int = 0
    inside: int = 0
    operations: dict[str, int] = field(default_factory=dict)
    recovered: int = 0
    wrong: list[str] = field(default_factory=list)


def make_files(actor: str, number: int) -> dict[str, bytes]:
    """Return the files of a revision: one of two chunks of the cipher, and an empty one."""
    return {"texture": f"{actor} {number} ".encode() * 5000, "style": b""}


def write_forever(home: Path, seed: int) -> None:
    """Change the registry until the process is killed; this runs in the child."""
    tombstones.SCRYPT_LOG2_N = CHEAP_SCRYPT_LOG2_N
    choose = random.Random(seed)
    registry = Registry(home)
    revisions = {each.actor: each.number for each in registry.list()}
    print("ready", flush=True)
    while True:
        actor = choose.choice(ACTORS)
        last = revisions.get(actor, 0)
        kind = choose.choice(["create", "create", "prune", "delete"]) if last else "create"
        number = last + 1 if kind == "create" else last
        print(json.dumps(["begin", kind, actor, number]), flush=True)
        if kind == "create":
            registry.create(actor, {"number": number}, make_files(actor, number))
            revisions[actor] = number
        elif kind == "prune":
            registry.prune(actor, 1)
        else:
            registry.delete(actor)
            del revisions[actor]
        print(json.dumps(["end", kind, actor, number]), flush=True)


def kill_writers(home: Path, kills: int, seed: int = 0) -> CrashStatistics:
    """Start and kill children one after another, and check the registry after each.

    Args:
        home: home folder of the registry.
        kills: number of children.
        seed: seed of the choices of operations and moments.
    """
    choose = random.Random(seed)
    found = CrashStatistics()
    expected: dict[str, int] = {}  # newest revision of every actor
    for number in range(kills):
        under_way = _run_until_killed(home, choose, found, expected)
        found.kills += 1
        found.inside += under_way is not None
        found.wrong += [
            f"kill {number}: {each}" for each in _find_violations(home, expected, under_way, found)
        ]
        expected = {each.actor: each.number for each in Registry(home).list()}
    return found


def _run_until_killed(
    home: Path, choose: random.Random, found: CrashStatistics, expected: dict[str, int]
) -> list[str] | None:
    """Run a child and kill it; count its operations and return the interrupted one."""
    command = [sys.executable, "-m", "benchmarks.registry_crash", "--child", str(home)]
    child = subprocess.Popen(
        [*command, "--seed", str(choose.randrange(1 << 30))], stdout=subprocess.PIPE, text=True
    )
    assert child.stdout is not None
    assert child.stdout.readline() == "ready\n"
    lines = []
    began = time.monotonic()
    took = 0.0
    # One operation prints two lines.
    for _ in range(2 * choose.randint(1, MAX_OPERATIONS)):
        lines.append(child.stdout.readline())
        took, began = time.monotonic() - began, time.monotonic()
    time.sleep(choose.uniform(0, MAX_DELAY_FACTOR * took))
    child.kill()
    # An operation that has begun and not ended is the interrupted one.
    lines += child.communicate()[0].splitlines()
    under_way = None
    for line in lines:
        when, kind, actor, number = json.loads(line)
        under_way = [kind, actor] if when == "begin" else None
        if when == "end":
            found.operations[kind] = found.operations.get(kind, 0) + 1
            if kind == "create":
                expected[actor] = number
            elif kind == "delete":
                del expected[actor]
    return under_way


def _find_violations(
    home: Path, expected: dict[str, int], under_way: list[str] | None, found: CrashStatistics
) -> list[str]:
    """Return the violations in the registry after a kill."""
    registry = Registry(home)
    verified = registry.verify()
    found.recovered += len(verified.recovered)
    wrong = [f"{fault.actor}: {fault.found}" for fault in verified.faults]
    there = {each.actor: each.number for each in registry.list()}
    kind, busy = under_way or ["", ""]
    # Each actor is in the state before or after the interrupted operation.
    for actor in ACTORS:
        allowed = {expected.get(actor)}
        if actor == busy and kind == "create":
            allowed.add(expected.get(actor, 0) + 1)
        if actor == busy and kind == "delete":
            allowed.add(None)
        if there.get(actor) not in allowed:
            wrong.append(f"{actor} is at {there.get(actor)}, expected one of {allowed}")
        if actor in there:
            for revision in registry.revisions(actor):
                files = {name: revision.read(name) for name in revision.file_names()}
                if files != make_files(actor, revision.number):
                    wrong.append(f"{actor} {revision.number} holds something else")
        elif any(actor.encode() in path.read_bytes() for path in home.rglob("*") if path.is_file()):
            wrong.append(f"{actor} was deleted, and the id is still somewhere")
    return wrong


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--child", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child is not None:
        write_forever(options.child, options.seed)
    with tempfile.TemporaryDirectory() as folder:
        began = time.monotonic()
        found = kill_writers(Path(folder) / "home", options.kills, options.seed)
        seconds = time.monotonic() - began
    print(machine_line())
    print(f"{found.kills} kills in {seconds:.0f} s, {found.inside} of them inside an operation")
    print(f"operations finished: {found.operations}")
    print(f"leftovers cleared away: {found.recovered}; wrong: {len(found.wrong)}")
    print("\n".join(found.wrong))
    sys.exit(bool(found.wrong))


if __name__ == "__main__":
    main()
