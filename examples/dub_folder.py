"""Dub every scene of a folder with one actor, and keep a report.

    python examples/dub_folder.py mary scenes/ dubbed/

``scenes/007.mp4`` speaks ``scenes/007.wav`` if that is there, else its own sound (which gives
the actor's mouth back to a scene whose sound was edited). A scene that fails is in
``dubbed/report.json`` with its reason and does not stop the others. Run again, only scenes
that are not in ``dubbed/`` yet are rendered.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
from pathlib import Path
from typing import Any

import dubfew
from dubfew.errors import DubfewError
from dubfew.utils.files import write_atomic

VIDEOS = {".mp4", ".mov", ".mkv", ".webm"}


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Dub every scene of a folder.")
    parser.add_argument("actor", help="id in the registry, see `dubfew actors list`")
    parser.add_argument("scenes", type=Path, help="folder of videos, sounds beside them")
    parser.add_argument("outputs", type=Path, help="folder to write to")
    parser.add_argument("--fit", choices=["trim", "loop", "hold"], help="if sound is longer")
    given = parser.parse_args(arguments)
    given.outputs.mkdir(parents=True, exist_ok=True)
    report: dict[str, Any] = {}
    for scene in sorted(path for path in given.scenes.iterdir() if path.suffix.lower() in VIDEOS):
        report[scene.name] = dub(given.actor, scene, given.outputs, given.fit)
        # After every scene, so that what is done is known whatever happens next.
        text = json.dumps(report, indent=2, default=str)
        write_atomic(given.outputs / "report.json", text.encode())
        print(scene.name, report[scene.name]["status"])
    return int(any(entry["status"] == "failed" for entry in report.values()))


def dub(actor: str, scene: Path, folder: Path, fit: str | None) -> dict[str, Any]:
    """Render one scene, and say what came of it."""
    output = folder / scene.name
    if output.exists():
        return {"status": "was there"}
    sound = scene.with_suffix(".wav")
    try:
        made = dubfew.render(
            actor, video=scene, audio=sound if sound.exists() else None, fit=fit, out=output
        )
    except DubfewError as error:
        return {"status": "failed", "reason": str(error)}
    return {"status": "done", **dataclasses.asdict(made)}


if __name__ == "__main__":
    raise SystemExit(main())
