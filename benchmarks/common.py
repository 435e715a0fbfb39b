"""Shared parts of the benchmarks: description of the machine, tables, footage, results."""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from dubfew.errors import DubfewError
from dubfew.progress import Progress
from dubfew.utils.files import write_atomic
from dubfew.utils.machine import machine
from dubfew.utils.markdown import cell, markdown_table

__all__ = ["cell", "machine", "markdown_table"]  # what other benchmarks take from here as well

# The repository.
ROOT = Path(__file__).resolve().parents[1]
# Real footage beside the checkout; a user's clone has none.
FOOTAGE = ROOT.parent / "shared" / "clips"
# The bundled synthetic person, which is always there.
DEMO_CLIP = ROOT / "dubfew" / "demo" / "actor.mp4"
# Folder that results are written to by default.
RESULTS = Path(tempfile.gettempdir()) / "dubfew-bench"


def machine_line() -> str:
    """Describe the machine on one line."""
    return ", ".join(f"{name} {value}" for name, value in machine().items())


def clip_parser(doc: str, clip: str) -> argparse.ArgumentParser:
    """Make the argument parser of a benchmark of one clip.

    Args:
        doc: docstring of the benchmark, whose first line is the description.
        clip: what the clip should show, for the help text.

    Returns:
        A parser with the arguments clip, prior and out.
    """
    parser = argparse.ArgumentParser(description=doc.splitlines()[0])
    parser.add_argument(
        "clip", nargs="?", type=Path, default=DEMO_CLIP, help=f"{clip}; default: the bundled clip"
    )
    parser.add_argument("--prior", type=Path, help="name or folder; default: the shipped one")
    parser.add_argument("--out", type=Path, default=RESULTS, help=f"default {RESULTS}")
    return parser


def clips_of(split: str, folder: Path = FOOTAGE) -> list[Path]:
    """List the clips of one split of a footage folder, as its ``manifest.json`` names them.

    Args:
        split: name of the split, such as "validate".
        folder: footage folder; if the default one does not exist, the bundled clip is returned.
    """
    manifest = folder / "manifest.json"
    if not manifest.exists():
        if folder == FOOTAGE:
            return [DEMO_CLIP]
        sys.exit(f"no {manifest}: name the clips on the command line, or give another --footage")
    entries = json.loads(manifest.read_text())
    return [folder / entry["file"] for entry in entries if entry["split"] == split]


def save_figure(figure: Any, path: Path) -> None:
    """Write a figure of matplotlib; an SVG has its letters as text, and no date.

    Args:
        figure: the figure.
        path: file to write; its suffix names the format.
    """
    from matplotlib import rc_context  # here, because most benchmarks draw nothing

    path.parent.mkdir(parents=True, exist_ok=True)
    with rc_context({"svg.fonttype": "none", "svg.hashsalt": "dubfew"}):
        figure.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else None)


def write_results(folder: Path, name: str, text: str, data: object) -> None:
    """Write ``NAME.md`` for people and ``NAME.json`` for programs.

    Args:
        folder: folder to write into; it is created.
        name: name of the files without suffix.
        text: Markdown.
        data: the same as plain values.
    """
    write_atomic(folder / f"{name}.md", text.encode())
    write_atomic(folder / f"{name}.json", json.dumps(data, indent=1).encode())


def run_clips(
    clips: Sequence[Path],
    out: Path,
    name: str,
    run_clip: Callable[[Path], dict[str, Any]],
    document: Callable[[list[dict[str, Any]], dict[str, str], str], str],
) -> int:
    """Run a benchmark on clips; write its results after each, since the whole may be interrupted.

    Args:
        clips: files to run on. One that fails is named, and the rest goes on.
        out: folder of the results.
        name: name of the result files without suffix.
        run_clip: measures one clip; its result is ready for JSON.
        document: formats results, failures by clip, and the line on the machine as Markdown.

    Returns:
        The exit code, 1 if a clip failed.
    """
    line, started_on = machine_line(), machine()
    results: list[dict[str, Any]] = []
    failed: dict[str, str] = {}
    for clip in clips:
        print(f"{clip.name} ...", file=sys.stderr)
        try:
            results.append(run_clip(clip))
        except DubfewError as error:
            failed[clip.name] = str(error)
        data = {"machine": started_on, "clips": results, "failed": failed}
        write_results(out, name, document(results, failed, line), data)
    print(document(results, failed, line))
    return 1 if failed else 0


def show(progress: Progress) -> None:
    """Show progress on one line of a terminal; silent in a log."""
    if sys.stderr.isatty():
        values = " ".join(f"{name} {value:.2f}" for name, value in progress.values.items())
        total = f"/{progress.total}" if progress.total else ""
        print(f"\r\x1b[K{progress.stage} {progress.done}{total} {values}", end="", file=sys.stderr)
