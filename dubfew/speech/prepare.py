"""Make training clips from footage: ``python -m dubfew.speech.prepare FOLDER OUT``.

A ``manifest.json`` in the folder, a list of ``{"file": ..., "split": ...}``, chooses the clips;
without one every video in it is taken.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np

from dubfew.errors import MediaError, NoFaceError
from dubfew.media import read_audio, read_frames
from dubfew.progress import Progress, ProgressCallback, silent
from dubfew.reconstruction.landmarks import LANDMARKS, FaceLandmarker
from dubfew.speech.corpus import Clip
from dubfew.speech.features import RATE
from dubfew.speech.observe import motion_of_landmarks

VIDEO_SUFFIXES = frozenset({".mp4", ".mov", ".mkv", ".webm", ".avi", ".mpg", ".m4v"})
# Quieter than this all through is a clip with an empty sound track (full scale 1).
_AUDIBLE = 1e-3


def prepare_clip(path: Path | str) -> Clip:
    """Sound and mouth motion of one video.

    Raises:
        MediaError: it cannot be read, or holds no audible sound.
        NoFaceError: no frame has a face.
    """
    path = Path(path)
    samples = read_audio(path, rate=RATE).samples
    if not len(samples) or float(np.abs(samples).max()) < _AUDIBLE:
        raise MediaError(f"{path} holds no audible sound: nothing to learn speech from")
    rows, times = [], []
    with FaceLandmarker() as landmarker:
        for frame in read_frames(path):
            found = landmarker(frame.to_rgb())
            rows.append(np.full((LANDMARKS, 3), np.nan, np.float32) if found is None else found)
            times.append(frame.time)
    if not rows:
        raise NoFaceError(f"{path} holds no frame")
    return Clip(path.stem, samples, motion_of_landmarks(np.stack(rows), np.array(times)))


def prepare(
    folder: Path, out: Path, *, split: str = "train", progress: ProgressCallback = silent
) -> tuple[list[str], dict[str, str]]:
    """Prepare every usable clip of a folder.

    Returns:
        Names of the clips written, and for each file that was passed over why.
    """
    manifest = folder / "manifest.json"
    if manifest.exists():
        entries = json.loads(manifest.read_text("utf-8"))
        paths = [folder / entry["file"] for entry in entries if entry.get("split") == split]
    else:
        paths = sorted(p for p in folder.iterdir() if p.suffix.lower() in VIDEO_SUFFIXES)
    written, passed = [], {}
    for done, path in enumerate(paths):
        progress(Progress("prepare", done, len(paths)))
        try:
            clip = prepare_clip(path)
        except (MediaError, NoFaceError) as error:
            passed[path.name] = str(error)
            continue
        clip.save(out / f"{path.stem}.safetensors")
        written.append(path.stem)
    return written, passed


def main(arguments: list[str] | None = None) -> None:
    """The command line of this module."""
    parser = argparse.ArgumentParser(prog="python -m dubfew.speech.prepare", description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--split", default="train")
    options = parser.parse_args(arguments)
    written, passed = prepare(options.folder, options.out, split=options.split)
    print(f"{len(written)} clips in {options.out}")
    for name, reason in passed.items():
        print(f"passed over {name}: {reason}")


if __name__ == "__main__":
    main()
