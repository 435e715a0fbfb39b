"""The manifest of prepared data: people, clips, failures and exclusions in one readable file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from dubfew.data.shards import list_stored_clips
from dubfew.utils.files import write_atomic

MANIFEST_FORMAT_VERSION = 1
# Name of the manifest in the folder of shards.
MANIFEST_FILE = "manifest.json"
# Facts of a clip that the manifest repeats from the shards.
_MANIFEST_CLIP_KEYS = (
    "file",
    "sha256",
    "frames",
    "seconds",
    "fps",
    "split",
    "source",
    "license",
    "weights_may_ship",
    "stored",
)


def write_manifest(
    out: Path, *, failed: dict[str, str], excluded: list[str]
) -> list[dict[str, Any]]:
    """Write ``manifest.json`` of prepared data.

    Args:
        out: folder of shards.
        failed: reasons of failures by file.
        excluded: files that the exclude list left out.

    Returns:
        Facts of each clip in the folder, see `list_stored_clips`.

    Raises:
        ArtefactError: A file in the folder is damaged.
    """
    clips = list_stored_clips(out)
    # Sorted by person, since people are asked about, not shards.
    people: dict[str, Any] = {}
    for clip in sorted(clips, key=lambda clip: (clip["identity"], clip["file"])):
        person = people.setdefault(clip["identity"], {"frames": 0, "seconds": 0.0, "clips": []})
        person["frames"] += clip["frames"]
        person["seconds"] = round(person["seconds"] + (clip.get("seconds") or 0.0), 3)
        person["clips"].append({name: clip.get(name) for name in _MANIFEST_CLIP_KEYS})
    manifest = {
        "format_version": MANIFEST_FORMAT_VERSION,
        "identities": people,
        "failed": failed,
        "excluded": excluded,
    }
    write_atomic(out / MANIFEST_FILE, json.dumps(manifest, indent=1).encode())
    return clips


def read_manifest(out: Path) -> dict[str, Any]:
    """Read the manifest of prepared data; empty if it is missing or damaged."""
    try:
        found = json.loads((out / MANIFEST_FILE).read_bytes())
    except (OSError, ValueError):
        return {}  # the caller writes it anew from the shards
    return found if isinstance(found, dict) else {}
