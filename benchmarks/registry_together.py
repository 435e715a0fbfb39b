"""Run two adapts and ten renders at once, each in its own process, on one registry.

    python -m benchmarks.registry_together --video CLIP

One actor is adapted first, for the renders. Then all processes start together. Every process must
succeed, every output must have the SHA-256 in the audit log, and index, files, keys and log must be
sound. Last, the actor is deleted while another process renders: that render must fail with one line
and leave no output.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

import dubfew
from benchmarks.common import machine_line
from dubfew.registry import Registry
from dubfew.registry.audit import AuditEntry
from dubfew.utils.files import sha256_file

# Clip that is used by default.
DEMO = Path(str(files("dubfew.demo") / "actor.mp4"))

# Exit code of the renderer below when the actor is deleted, different from Python's own codes.
DELETED_EXIT_CODE = 7
# Program that renders an actor and waits after the first frame for a line on stdin.
RENDERER = """
import sys
from pathlib import Path
from dubfew.errors import ActorNotFoundError
from dubfew.registry import Registry
from dubfew.render import render
def wait(progress):
    if progress.stage == "render" and progress.done == 1:
        print("begun", flush=True)
        sys.stdin.readline()
try:
    render(sys.argv[1], drive="self", out=sys.argv[2], registry=Registry(), progress=wait)
except ActorNotFoundError as error:
    print(error)
    sys.exit(7)
"""


@dataclass(frozen=True)
class ConcurrencyResult:
    """Result of a run.

    Attributes:
        adapts: number of processes that adapt.
        renders: number of processes that render.
        seconds: time from their start to the end of the last one.
        actors: number of actors in the registry at the end.
        revisions: number of revisions at the end.
        entries: number of entries of the audit log.
        wrong: violations, one line each.
    """

    adapts: int
    renders: int
    seconds: float
    actors: int
    revisions: int
    entries: int
    wrong: list[str]


def run_together(
    folder: Path,
    video: Path,
    *,
    adapts: int = 2,
    renders: int = 10,
    prior: str = "lite",
    steps: int = 20,
    seconds: float = 2.0,
) -> ConcurrencyResult:
    """Run all processes in an empty folder and check the registry.

    Args:
        folder: the empty folder.
        video: clip that actors are adapted from, and that is rendered.
        adapts: number of processes that adapt.
        renders: number of processes that render.
        prior: prior of every adapt.
        steps: training steps of every adapt.
        seconds: length of the footage of every adapt.
    """
    home = folder / "home"
    environment = {**os.environ, "DUBFEW_HOME": str(home), "OMP_NUM_THREADS": "1"}
    environment.pop("DUBFEW_KEYS", None)

    # One thread each, or the processes would slow each other down.
    def start_command(*words: object) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "dubfew", *map(str, words), "--json"]
        return subprocess.Popen(
            command,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def adapt(actor: str) -> subprocess.Popen[str]:
        learn = ("--prior", prior, "--steps", steps, "--seconds", seconds, "--start", 0)
        return start_command("adapt", video, "--actor", actor, "--no-replay", *learn)

    wrong = []

    def wait_for(name: str, process: subprocess.Popen[str]) -> None:
        _, stderr = process.communicate()
        if process.returncode:
            wrong.append(f"{name} ended with {process.returncode}: {stderr.strip()[-200:]}")

    # In this process: nothing runs beside it, and a process takes seconds to start.
    dubfew.adapt(
        video,
        actor="rendered",
        prior=prior,
        steps=steps,
        seconds=seconds,
        start=0,
        replay=False,
        registry=Registry(home),
    )
    began = time.monotonic()
    outputs = [folder / f"out-{number}.mp4" for number in range(renders)]
    running = {f"adapt {number}": adapt(f"new-{number}") for number in range(adapts)}
    running |= {
        f"render {output.stem}": start_command(
            "render", "--actor", "rendered", "--video", video, "--drive", "self", "-o", output
        )
        for output in outputs
    }
    for name, process in running.items():
        wait_for(name, process)
    taken = time.monotonic() - began

    # The audit log and the outputs must agree.
    registry = Registry(home)
    log = registry.audit()
    assert log is not None
    hashes = sorted(
        str(entry.fields["output_sha256"])
        for entry in log.iter_entries()
        if isinstance(entry, AuditEntry) and entry.event == "render"
    )
    found = sorted(sha256_file(output) if output.exists() else "missing" for output in outputs)
    if hashes != found:
        wrong.append(f"outputs {found} are not those of the audit log, {hashes}")
    wrong += _delete_while_rendering(folder, registry, environment)
    checked, report = registry.verify(), log.verify()
    wrong += [f"{fault.actor}: {fault.found}" for fault in checked.faults]
    wrong += [f"cleared away: {each}" for each in checked.recovered]
    wrong += list(report.faults)
    names = [each.actor for each in registry.list()]
    if names != sorted(f"new-{number}" for number in range(adapts)):
        wrong.append(f"the registry has {names}")
    return ConcurrencyResult(
        adapts, renders, taken, checked.actors, checked.revisions, report.entries, wrong
    )


def _delete_while_rendering(
    folder: Path, registry: Registry, environment: dict[str, str]
) -> list[str]:
    """Delete the actor while another process renders it; return the violations."""
    place = folder / "late"
    place.mkdir()
    renderer = subprocess.Popen(
        [sys.executable, "-c", RENDERER, "rendered", str(place / "out.mp4")],
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert renderer.stdout is not None
    if renderer.stdout.readline() != "begun\n":
        renderer.communicate()
        return ["the render that was to be disturbed did not begin"]
    registry.delete("rendered")
    stdout, _ = renderer.communicate("go on\n")
    wrong = []
    if renderer.returncode != DELETED_EXIT_CODE or "deleted meanwhile" not in stdout:
        wrong.append(f"the disturbed render ended with {renderer.returncode}: {stdout[-200:]}")
    if left := [path.name for path in place.iterdir()]:
        wrong.append(f"the disturbed render left {left}")
    return wrong


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--video", type=Path, default=DEMO)
    parser.add_argument("--adapts", type=int, default=2)
    parser.add_argument("--renders", type=int, default=10)
    parser.add_argument("--prior", default="lite")
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=2.0)
    options = parser.parse_args()
    print(machine_line())
    with tempfile.TemporaryDirectory() as folder:
        found = run_together(
            Path(folder),
            options.video.absolute(),
            adapts=options.adapts,
            renders=options.renders,
            prior=options.prior,
            steps=options.steps,
            seconds=options.seconds,
        )
    print(json.dumps({name: value for name, value in vars(found).items() if name != "wrong"}))
    print(f"wrong: {len(found.wrong)}")
    print("\n".join(found.wrong))
    sys.exit(bool(found.wrong))


if __name__ == "__main__":
    main()
