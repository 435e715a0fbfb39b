"""Kill a process that writes to a registry, again and again, and look at what it leaves.

    python -m benchmarks.registry_crash --kills 200

A child stores, deletes and prunes actors as fast as it can and says before and after each what it
does. It is killed (SIGKILL) at a random moment. Then `Registry.verify` must find no fault, every
revision that was stored must be readable and hold what was stored, everything that was deleted
must be gone, no byte of its id left under the home folder. What was under way may be done or
not done, nothing between.
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

ACTORS = [f"Quetzalcoatl-{number}" for number in range(5)]
# A child finishes at most so many operations, then is killed within this many times the duration of
# its last one: counted, not timed, so that a loaded machine sees the same moments as an idle one.
OPERATIONS = 6
REACH = 1.5


@dataclass
class Crashes:
    """What was seen.

    Attributes:
        kills: children killed.
        inside: of these, in the middle of an operation.
        operations: that children finished, by kind.
        recovered: leftovers that were cleared away.
        wrong: what must not be, one line each.
    """

    kills: int = 0
    inside: int = 0
    operations: dict[str, int] = field(default_factory=dict)
    recovered: int = 0
    wrong: list[str] = field(default_factory=list)


def content(actor: str, number: int) -> dict[str, bytes]:
    """What a revision holds; two chunks of the cipher and an empty file."""
    return {"texture": f"{actor} {number} ".encode() * 5000, "style": b""}


def work(home: Path, seed: int) -> None:
    """The child: change the registry for ever."""
    tombstones.SCRYPT_LOG2_N = 4  # or most kills would hit scrypt, which touches no disk
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
            registry.create(actor, {"number": number}, content(actor, number))
            revisions[actor] = number
        elif kind == "prune":
            registry.prune(actor, 1)
        else:
            registry.delete(actor)
            del revisions[actor]
        print(json.dumps(["end", kind, actor, number]), flush=True)


def crash(home: Path, kills: int, seed: int = 0) -> Crashes:
    """Kill so many children."""
    choose = random.Random(seed)
    found = Crashes()
    expected: dict[str, int] = {}  # the newest revision of every actor
    for number in range(kills):
        under_way = _one_life(home, choose, found, expected)
        found.kills += 1
        found.inside += under_way is not None
        found.wrong += [
            f"kill {number}: {each}" for each in _look(home, expected, under_way, found)
        ]
        expected = {each.actor: each.number for each in Registry(home).list()}
    return found


def _one_life(
    home: Path, choose: random.Random, found: Crashes, expected: dict[str, int]
) -> list[str] | None:
    """Run a child and kill it; note what it finished, return what it was doing."""
    command = [sys.executable, "-m", "benchmarks.registry_crash", "--child", str(home)]
    child = subprocess.Popen(
        [*command, "--seed", str(choose.randrange(1 << 30))], stdout=subprocess.PIPE, text=True
    )
    assert child.stdout is not None
    assert child.stdout.readline() == "ready\n"
    said = []
    began = time.monotonic()
    took = 0.0
    # One operation is two lines.
    for _ in range(2 * choose.randint(1, OPERATIONS)):
        said.append(child.stdout.readline())
        took, began = time.monotonic() - began, time.monotonic()
    time.sleep(choose.uniform(0, REACH * took))
    child.kill()
    said += child.communicate()[0].splitlines()
    under_way = None
    for line in said:
        when, kind, actor, number = json.loads(line)
        under_way = [kind, actor] if when == "begin" else None
        if when == "end":
            found.operations[kind] = found.operations.get(kind, 0) + 1
            if kind == "create":
                expected[actor] = number
            elif kind == "delete":
                del expected[actor]
    return under_way


def _look(
    home: Path, expected: dict[str, int], under_way: list[str] | None, found: Crashes
) -> list[str]:
    """What is wrong now."""
    registry = Registry(home)
    verified = registry.verify()
    found.recovered += len(verified.recovered)
    wrong = [f"{fault.actor}: {fault.found}" for fault in verified.faults]
    there = {each.actor: each.number for each in registry.list()}
    kind, busy = under_way or ["", ""]
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
                held = {name: revision.read(name) for name in revision.file_names()}
                if held != content(actor, revision.number):
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
        work(options.child, options.seed)
    with tempfile.TemporaryDirectory() as folder:
        began = time.monotonic()
        found = crash(Path(folder) / "home", options.kills, options.seed)
        seconds = time.monotonic() - began
    print(machine_line())
    print(f"{found.kills} kills in {seconds:.0f} s, {found.inside} of them inside an operation")
    print(f"operations finished: {found.operations}")
    print(f"leftovers cleared away: {found.recovered}; wrong: {len(found.wrong)}")
    print("\n".join(found.wrong))
    sys.exit(bool(found.wrong))


if __name__ == "__main__":
    main()
