"""What every benchmark needs: the machine in one line, tables, the footage, a place to write."""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import tempfile
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path

from dubfew.progress import Progress
from dubfew.utils.cpu import num_available_cpus
from dubfew.utils.files import write_atomic

ROOT = Path(__file__).resolve().parents[1]
FOOTAGE = ROOT.parent / "shared" / "clips"
DEMO_CLIP = ROOT / "dubfew" / "demo" / "actor.mp4"
RESULTS = Path(tempfile.gettempdir()) / "dubfew-bench"
PACKAGES = ("dubfew", "torch", "numpy", "numba", "av", "mediapipe")


def machine() -> dict[str, str | int | float]:
    """What must be known to read a time: cores, load, processor, versions."""
    found: dict[str, str | int | float] = {
        "processor": _processor(),
        "cores": num_available_cpus(),
        "load_1min": round(os.getloadavg()[0], 2),
        "python": platform.python_version(),
    }
    for package in PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            found[package] = "from source"
    return found


def machine_line() -> str:
    """The same as one line of text."""
    return ", ".join(f"{name} {value}" for name, value in machine().items())


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def clip_parser(doc: str, clip: str) -> argparse.ArgumentParser:
    """Arguments of a benchmark of one clip: the clip (``clip`` says what it should show), prior
    and results folder."""
    parser = argparse.ArgumentParser(description=doc.splitlines()[0])
    parser.add_argument(
        "clip", nargs="?", type=Path, default=DEMO_CLIP, help=f"{clip}; default: the bundled clip"
    )
    parser.add_argument("--prior", type=Path, help="name or folder; default: the shipped one")
    parser.add_argument("--out", type=Path, default=RESULTS, help=f"default {RESULTS}")
    return parser


def markdown_table(headers: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """A GitHub table; see :func:`cell` for how values are written."""
    lines = ["| " + " | ".join(headers) + " |", "|---" * len(headers) + "|"]
    lines += ["| " + " | ".join(cell(value) for value in row) + " |" for row in rows]
    return "\n".join(lines)


def cell(value: object) -> str:
    """One value of a table as text: None as a dash, floats with three to five digits."""
    if value is None:
        return "-"
    if isinstance(value, float):
        decimals = 3 if abs(value) < 2 else 2 if abs(value) < 100 else 1
        return f"{value:.{decimals}f}"
    return str(value)


def clips_of(split: str, folder: Path = FOOTAGE) -> list[Path]:
    """Clips of one split of a footage folder, by its ``manifest.json``; without that folder the
    bundled synthetic clip."""
    manifest = folder / "manifest.json"
    if not manifest.exists():
        if folder == FOOTAGE:
            return [DEMO_CLIP]
        sys.exit(f"no {manifest}: name the clips on the command line, or give another --footage")
    entries = json.loads(manifest.read_text())
    return [folder / entry["file"] for entry in entries if entry["split"] == split]


def write_results(folder: Path, name: str, text: str, data: object) -> None:
    """``NAME.md`` for people and ``NAME.json`` for programs."""
    write_atomic(folder / f"{name}.md", text.encode())
    write_atomic(folder / f"{name}.json", json.dumps(data, indent=1).encode())


def show(progress: Progress) -> None:
    """A progress callback for terminals: one line, rewritten; silent in a log."""
    if sys.stderr.isatty():
        values = " ".join(f"{name} {value:.2f}" for name, value in progress.values.items())
        total = f"/{progress.total}" if progress.total else ""
        print(f"\r\x1b[K{progress.stage} {progress.done}{total} {values}", end="", file=sys.stderr)
