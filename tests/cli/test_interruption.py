"""Jobs that end in the middle, by Ctrl-C or because they are killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.jobs import QUICK, contents, run

pytestmark = pytest.mark.e2e

# Program of a child process: it runs the command line twice, and pauses after each written frame
# and in the middle of storing an actor, where the test sends a signal. One process: the imports
# take longer than the jobs.
CHILD = """
import sys, time
import dubfew.registry.storage as storage
from dubfew.cli import main
from dubfew.media import VideoWriter

def pause():
    print("ready", flush=True)
    # A signal that another thread takes, or that comes just before it, does not end a sleep.
    for _ in range(6000):
        time.sleep(0.1)

write, sync = VideoWriter.write, storage.fsync_folder

def slow_write(self, frame):
    write(self, frame)
    pause()

def slow_sync(folder):
    sync(folder)
    if "staging" in folder.parts:
        pause()

VideoWriter.write, storage.fsync_folder = slow_write, slow_sync
try:
    main()
except SystemExit as end:
    print("ended", end.code, flush=True)
from dubfew.cli import console
console._received_signals.clear()
main()
"""


@pytest.mark.skipif(os.name == "nt", reason="POSIX signals")
@pytest.mark.parametrize("command", ["adapt", "render"])
def test_a_job_that_ends_in_the_middle_leaves_nothing_behind(
    home: Path, clips: Path, command: str
) -> None:
    video = clips / "one.mp4"
    arguments = ["adapt", str(video), *QUICK]
    if command == "render":
        arguments = ["render", "--actor", "two", "--video", str(video)]
        arguments += ["--drive", "self", "-o", "o.mp4"]
    before = contents(home)
    process = subprocess.Popen(
        [sys.executable, "-c", CHILD, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    process.send_signal(signal.SIGINT)
    lines = iter(process.stdout.readline, "")
    assert next(line for line in lines if line.startswith("ended")) == "ended 1\n"
    assert not any(Path().iterdir())
    assert contents(home) == before
    # The same job again, which is killed.
    assert next(line for line in lines if not line.startswith("{")) == "ready\n"
    process.kill()
    _, stderr = process.communicate(timeout=300)
    assert process.returncode == -signal.SIGKILL
    assert "dubfew: interrupted" in stderr.splitlines()
    assert "error" not in stderr
    left = [*Path().iterdir(), *(home / "staging").glob("*")]
    assert len(left) == 1
    (actor,) = json.loads(run("actors", "list", "--json").stdout)["actors"]
    assert actor["actor"] == "two"
    # A new run does the work and removes the leftovers of the killed one.
    assert run(*arguments).exit_code == 0
    assert [path.name for path in Path().iterdir()] == ["o.mp4"] * (command == "render")
    assert not any((home / "staging").glob("*"))


def test_an_interrupt_that_python_lost_ends_the_job(
    home: Path, clips: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = contents(home)
    monkeypatch.setattr("dubfew.cli.console._received_signals", [signal.SIGINT])
    result = run("adapt", clips / "late.mp4", *QUICK)
    assert (result.exit_code, result.stderr) == (1, "dubfew: interrupted\n")
    assert contents(home) == before
