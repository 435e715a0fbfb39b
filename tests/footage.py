"""Short pieces of the bundled clip."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

import numpy as np

from dubfew.media import AudioSource, VideoWriter, probe, read_frames
from dubfew.reconstruction.detection.landmarks import FaceLandmarker

ACTOR = Path(str(files("dubfew.demo") / "actor.mp4"))


def cut(path: Path, start: int, stop: int) -> Path:
    """Frames ``start`` to ``stop`` of the bundled person with their sound, lossless."""
    info = probe(ACTOR)
    rate = float(info.fps)
    audio = AudioSource(ACTOR, start=start / rate, duration=(stop - start) / rate)
    with VideoWriter(path, info, audio=audio, lossless=True, preset="ultrafast") as writer:
        for number, frame in enumerate(read_frames(ACTOR, start=start, stop=stop)):
            writer.write(frame.with_time(number, number / info.fps))
    return path


def with_paper(path: Path, frames: int, first: int, stop: int) -> Path:
    """The start of the bundled clip, without sound, with paper held before the mouth from frame
    ``first`` to ``stop``."""
    with FaceLandmarker() as landmarker:
        face = landmarker(next(read_frames(ACTOR)).to_rgb())
    assert face is not None
    left, _ = face[:, :2].min(0).astype(int)
    right, bottom = face[:, :2].max(0).astype(int)
    top = int(face[2, 1])
    paper = np.full((bottom + 20 - top, right - left, 3), 235, np.uint8)
    everywhere = np.ones(paper.shape[:2], bool)
    with VideoWriter(path, probe(ACTOR), lossless=True, preset="ultrafast") as writer:
        for frame in read_frames(ACTOR, stop=frames):
            held = first <= frame.index < stop
            writer.write(frame.with_patch(left, top, paper, everywhere) if held else frame)
    return path
