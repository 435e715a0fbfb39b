"""Make the replay set that ships: film synthetic people, track and prepare them like anybody.

    python -m tools.build_replay_set [--clips FOLDER] [--out FILE]

Clips that are already in the folder (``synthetic_SEED.mp4``) are not filmed again. The same
versions of the encoder and of MediaPipe give the same file.
"""

from __future__ import annotations

import argparse
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from dubfew.adapt.replay import ReplayPerson, save_replay, shipped
from dubfew.reconstruction.heads.head_model import HeadModel, load_head
from dubfew.reconstruction.tracking import track_video
from dubfew.references.alignment import align_footage
from dubfew.references.footage import clip_footage
from dubfew.synthetic import SyntheticPerson, write_clip

# Everybody in the set has a seed of their own; they vary in every trait by themselves. Sizes and
# qualities vary like those of footage do.
SEEDS = tuple(range(1001, 1013))
SIZES, QUALITIES = (256, 352, 448, 576), (16, 20, 24)
SECONDS = 5.0
FRAMES = 16
WINDOW = 160


def film(seed: int, folder: Path) -> Path:
    """The clip of one person, filmed unless it is there."""
    path = folder / f"synthetic_{seed}.mp4"
    if not path.exists():
        write_clip(
            SyntheticPerson(seed),
            path,
            seconds=SECONDS,
            size=SIZES[seed % len(SIZES)],
            seed=seed,
            crf=QUALITIES[seed % len(QUALITIES)],
        )
    return path


def prepared(clip: Path, head: HeadModel) -> ReplayPerson:
    """A filmed person as training sees them: landmarks, fit and alignment, errors included."""
    track = track_video(clip, head=head)
    footage = align_footage(clip_footage(clip, track, head, size=WINDOW), head)
    return ReplayPerson.of(footage, FRAMES)


def build(out: Path, folder: Path) -> None:
    """Film, prepare and store everybody."""
    head = load_head()
    people = [prepared(film(seed, folder), head) for seed in SEEDS]
    out.parent.mkdir(parents=True, exist_ok=True)
    save_replay(out, people, header(head))


def header(head: HeadModel) -> dict[str, Any]:
    """What the file says of itself."""
    return {
        "head": head.name,
        "people": [f"synthetic person, seed {seed}" for seed in SEEDS],
        "licence": "MIT, made by dubfew.synthetic",
    }


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(description="Make the replay set of synthetic people.")
    parser.add_argument("--clips", type=Path, help="folder of the clips, made if not there")
    parser.add_argument("--out", type=Path, default=shipped())
    given = parser.parse_args()
    with ExitStack() as stack:
        folder = given.clips or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        folder.mkdir(parents=True, exist_ok=True)
        build(given.out, folder)


if __name__ == "__main__":
    main()
