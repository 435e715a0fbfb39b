"""Videos -> prepared footage, which training reads."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dubfew.errors import DubfewError
from dubfew.files import sha256_file
from dubfew.prior.align import align_footage
from dubfew.prior.footage import clip_footage
from dubfew.prior.stored import save_footage
from dubfew.progress import Progress, ProgressCallback, silent
from dubfew.reconstruction.head import load_head
from dubfew.reconstruction.tracking import track_video


@dataclass(frozen=True)
class Prepared:
    """What `prepare` did.

    Attributes:
        clips: files that were written.
        failed: reason for each clip that was skipped.
    """

    clips: list[Path]
    failed: dict[str, str]


VIDEO_SUFFIXES = {".mp4", ".mov", ".mkv", ".webm", ".avi", ".mpg", ".mpeg", ".m4v"}


def prepare(
    folder: Path,
    out: Path,
    *,
    size: int = 160,
    split: str = "train",
    progress: ProgressCallback = silent,
) -> Prepared:
    """Turn a folder of videos into prepared footage, one file per clip; resumable.

    With a ``manifest.json`` in the folder only clips of that ``split`` are taken, and for the
    training split only those whose ``weights_may_ship`` is true; without one, every video.

    Args:
        folder: of videos.
        out: where the prepared files go.
        size: edge of the windows, px.
        split: which part of a manifest.
        progress: told after each clip.

    Raises:
        DubfewError: the folder holds no such clip.
    """
    entries = _entries(folder, split)
    if not entries:
        raise DubfewError(
            f"no clip to prepare in {folder}: put videos there, or check its manifest"
        )
    head = load_head()
    written: list[Path] = []
    failed: dict[str, str] = {}
    for count, entry in enumerate(entries):
        path, target = folder / entry["file"], out / (entry["file"] + ".safetensors")
        if not target.exists():
            try:
                track = track_video(path, head=head)
                footage = align_footage(clip_footage(path, track, head, size=size), head)
            except DubfewError as error:
                failed[entry["file"]] = str(error)
                continue
            header = {**entry, "sha256": sha256_file(path), "head": head.name}
            save_footage(target, footage, header)
        written.append(target)
        progress(Progress("prepare", count + 1, len(entries)))
    return Prepared(written, failed)


def _entries(folder: Path, split: str) -> list[dict[str, Any]]:
    manifest = folder / "manifest.json"
    if not manifest.exists():
        files = sorted(p for p in folder.rglob("*") if p.suffix.lower() in VIDEO_SUFFIXES)
        return [{"file": str(p.relative_to(folder)), "split": split} for p in files]
    entries = [e for e in json.loads(manifest.read_text()) if e["split"] == split]
    return [e for e in entries if split != "train" or e["weights_may_ship"]]
