"""Search for traces of an actor."""

from __future__ import annotations

from pathlib import Path

ACTOR = "Quetzalcoatl Ünique-7319"
SECRET = b"the-secret-texture-bytes"


def find_traces(actor: str, home: Path) -> list[Path]:
    """Return the files under ``home`` that contain the id or the stored bytes."""
    needles = [actor.encode(code) for code in ("utf-8", "utf-16-le", "utf-16-be")]
    needles += [ascii(actor).strip("'").encode(), SECRET]
    return [
        path
        for path in home.rglob("*")
        if actor in path.name
        or (path.is_file() and any(needle in path.read_bytes() for needle in needles))
    ]
