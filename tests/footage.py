"""Short pieces of the bundled clip."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

from dubfew.media import AudioSource, VideoWriter, probe, read_frames

ACTOR = Path(str(files("dubfew.demo") / "actor.mp4"))


def cut(path: Path, start: int, stop: int) -> Path:
    """Frames ``start`` to ``stop`` of the bundled person with their sound, lossless."""
    info = probe(ACTOR)
    rate = float(info.fps)
    audio = AudioSource(ACTOR, start=start / rate, duration=(stop - start) / rate)
    with VideoWriter(path, info, audio=audio, lossless=True, preset="ultrafast") as writer:
        for number, frame in enumerate(read_frames(ACTOR, start=start, stop=stop)):
            writer.write(frame.at(number, number / info.fps))
    return path
