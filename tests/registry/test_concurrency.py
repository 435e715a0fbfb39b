"""Two writers and ten readers, each in its own process, on one registry."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from dubfew.registry import Registry

pytestmark = pytest.mark.slow

ROUNDS = 6

# Content says whose it is, so that a reader notices a mixture.
WRITER = """
import sys
from pathlib import Path
from dubfew.registry import Registry, index, storage
# On a slow disk the others' turns together take longer than a user would wait.
index.BUSY_SECONDS = storage.LOCK_SECONDS = 600
registry, own = Registry(Path(sys.argv[1])), sys.argv[2]
for number in range(int(sys.argv[3])):
    for actor in ("shared", own):
        content = f"{actor} by {own}, {number} ".encode() * 6000
        registry.create(actor, {"by": own, "number": number}, {"a": content, "b": content})
    if number % 3 == 2:
        registry.delete(own)
    if number % 4 == 3:
        registry.prune("shared", 2)
"""

READER = """
import json, sys, time
from pathlib import Path
from dubfew.errors import ActorNotFoundError
from dubfew.registry import Registry, index, storage
index.BUSY_SECONDS = storage.LOCK_SECONDS = 600
registry = Registry(Path(sys.argv[1]))
print("ready", flush=True)
reads = gone = 0
done = False
while not (done and reads):
    done = Path(sys.argv[2]).exists()
    for newest in registry.list():
        try:
            revision = registry.open(newest.actor)
            by, number = revision.config["by"], revision.config["number"]
            expected = f"{revision.actor} by {by}, {number} ".encode() * 6000
            assert revision.read("a") == revision.read("b") == expected
            revision.check_exists()
            reads += 1
        except ActorNotFoundError:
            gone += 1  # deleted or pruned between two lines
    time.sleep(0.01)
print(json.dumps([reads, gone]))
"""


def test_two_writers_and_ten_readers(home: Path, tmp_path: Path) -> None:
    done = tmp_path / "done"
    readers = [
        subprocess.Popen(
            [sys.executable, "-c", READER, str(home), str(done)], stdout=subprocess.PIPE, text=True
        )
        for _ in range(10)
    ]
    for reader in readers:  # a reader that starts when all is written would have read nothing
        assert reader.stdout is not None
        assert reader.stdout.readline() == "ready\n"
    writers = [
        subprocess.Popen([sys.executable, "-c", WRITER, str(home), name, str(ROUNDS)])
        for name in ("one", "two")
    ]
    try:
        assert [writer.wait(600) for writer in writers] == [0, 0]
    finally:
        done.touch()
    counts = [json.loads(reader.communicate(timeout=600)[0]) for reader in readers]
    assert [reader.returncode for reader in readers] == [0] * 10
    assert all(reads > 0 for reads, _ in counts)
    registry = Registry(home)
    verified = registry.verify()
    assert verified.ok
    assert verified.recovered == ()
    assert [each.actor for each in registry.list()] == ["shared"]
    assert registry.open("shared").number == 2 * ROUNDS
