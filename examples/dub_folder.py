"""Dub every scene of a folder with one actor, and write a report.

    python examples/dub_folder.py mary scenes/ dubbed/

The scene ``scenes/007.mp4`` gets the speech of ``scenes/007.wav`` if that file exists, else its own
sound, for scenes whose sound was edited. A failed scene does not stop the others; the report
``dubbed/report.json`` lists it with the reason. A second run renders only scenes that are missing
in ``dubbed/``.
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

# Endings of files that count as scenes.
VIDEO_SUFFIXES = {".mp4", ".mov", ".mkv", ".webm"}


def main(arguments: list[str] | None = None) -> int:
    """Run the example; returns its exit code."""
    parser = argparse.ArgumentParser(description="Dub every scene of a folder.")
    parser.add_argument("actor", help="id in the registry, see `dubfew actors list`")
    parser.add_argument("scenes", type=Path, help="folder of videos, with sounds beside them")
    parser.add_argument("outputs", type=Path, help="folder to write to")
    parser.add_argument("--fit", choices=["trim", "loop", "hold"], help="treatment of longer sound")
    parsed = parser.parse_args(arguments)
    parsed.outputs.mkdir(parents=True, exist_ok=True)
    report: dict[str, Any] = {}
    for scene in sorted(
        path for path in parsed.scenes.iterdir() if path.suffix.lower() in VIDEO_SUFFIXES
    ):
        report[scene.name] = dub(parsed.actor, scene, parsed.outputs, parsed.fit)
        # Write the report after every scene, so that it is right even if the next one is killed.
        text = json.dumps(report, indent=2, default=str)
        write_atomic(parsed.outputs / "report.json", text.encode())
        print(scene.name, report[scene.name]["status"])
    return int(any(entry["status"] == "failed" for entry in report.values()))


def dub(actor: str, scene: Path, folder: Path, fit: str | None) -> dict[str, Any]:
    """Render one scene; returns its entry in the report."""
    output = folder / scene.name
    if output.exists():
        return {"status": "was there"}
    sound = scene.with_suffix(".wav")
    try:
        rendered = dubfew.render(
            actor, video=scene, audio=sound if sound.exists() else None, fit=fit, out=output
        )
    except DubfewError as error:
        return {"status": "failed", "reason": str(error)}
    return {"status": "done", **dataclasses.asdict(rendered)}


if __name__ == "__main__":
    raise SystemExit(main())
